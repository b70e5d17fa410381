/*
 * The inner loops of the fast path: lines cut into fields, fields looked up in dictionaries, rows put together.
 *
 * Nothing here knows a format, a column or a database. A pattern comes as a program (program.py), what a field
 * becomes is decided in Python, once for each distinct field (dictionary.py), and every array belongs to the
 * caller. Each loop ends at the end of the line or array that it was given; nothing is allocated, no state is
 * kept, and no line can make it read or write elsewhere.
 */
#include <stdint.h>
#include <string.h>

/* Steps of a program: what a line must have at its present byte. `Op` in program.py has the same numbers. */
enum { BYTE, ONE, LOOP, UNTIL, NOT_BEHIND, CHOICE, JUMP, OPEN, CLOSE, END };

struct step {
    int32_t op;
    int32_t set;     /* BYTE, UNTIL, NOT_BEHIND: a byte; ONE, LOOP, CHOICE: number of a set; OPEN, CLOSE: of a capture */
    int32_t least;   /* LOOP, UNTIL: how many bytes at least; CHOICE, JUMP: the step to go to */
    int32_t most;    /* LOOP, UNTIL: how many at most */
    int32_t back;    /* LOOP, UNTIL: how many of them belong to the literal that follows */
};

/* A distinct field of a dictionary, in bytes of its arenas. */
struct entry {
    uint32_t hash, key, key_size, value, value_size;
};

struct dictionary {
    int32_t *slots;         /* codes by hash, -1 where free; mask + 1 of them, never more than half in use */
    struct entry *entries;  /* by code */
    uint8_t *keys;
    uint8_t *values;
    uint64_t seed;          /* nobody who writes lines knows it: they cannot choose fields with equal hashes */
    uint32_t mask;
    uint32_t count, most;   /* entries there are, and may be */
    uint32_t room, used;    /* bytes of keys there may be, and are */
};

struct scanner {
    const struct step *steps;
    const uint8_t *sets;      /* 256 bytes each: 1 for a byte of the set */
    const int32_t *captures;  /* for each dictionary the number of its captures, and those */
    int32_t width;            /* how many dictionaries */
    int32_t longest;          /* bytes of a line; no longer one fits */
};

#define MOST_CAPTURES 64
#define TOGETHER 8
#define FULL (-1)

static uint64_t mixed(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const uint8_t *key, uint32_t size, uint64_t seed)
{
    const uint64_t odd = 0x9e3779b97f4a7c15u;
    uint64_t hash = seed ^ size, word;
    for (; size >= 8; key += 8, size -= 8) {
        memcpy(&word, key, 8);
        hash = mixed(hash ^ word, odd);
    }
    word = 0;
    memcpy(&word, key, size);
    return mixed(hash ^ word, odd ^ seed);
}

/* A field on its way into its dictionary. */
struct field {
    const uint8_t *key;
    uint32_t size, hash, slot;
};

/* Return a field, and have the memory fetched that its look-up needs first. */
static struct field field_of(const struct dictionary *d, const uint8_t *key, uint32_t size)
{
    uint64_t hash = hash_of(key, size, d->seed);
    uint32_t slot = (uint32_t)hash & d->mask;
    __builtin_prefetch(&d->slots[slot]);
    return (struct field){key, size, (uint32_t)(hash >> 32), slot};
}

/* Return the code of a field, a new one where it is new, FULL where there is no room for it. */
static int32_t code_of(struct dictionary *d, struct field f)
{
    for (int32_t code; (code = d->slots[f.slot]) >= 0; f.slot = (f.slot + 1) & d->mask) {
        const struct entry *e = &d->entries[code];
        if (e->hash == f.hash && e->key_size == f.size && memcmp(d->keys + e->key, f.key, f.size) == 0)
            return code;
    }
    if (d->count >= d->most || d->room - d->used < f.size)
        return FULL;
    d->slots[f.slot] = (int32_t)d->count;
    memmove(d->keys + d->used, f.key, f.size);
    d->entries[d->count] = (struct entry){.hash = f.hash, .key = d->used, .key_size = f.size};
    d->used += f.size;
    return (int32_t)d->count++;
}

static const uint8_t *found(const uint8_t *at, const uint8_t *end, int byte)
{
    const uint8_t *place = memchr(at, byte, (size_t)(end - at));
    return place ? place : end;
}

/* Return whether a line fits; `spans` gets begin and end of each capture. */
static int fits(const struct scanner *s, const uint8_t *line, const uint8_t *end, const uint8_t **spans)
{
    const uint8_t *at = line;
    for (const struct step *step = s->steps;; step++) {
        switch (step->op) {
        case BYTE:
            if (at == end || *at != step->set)
                return 0;
            at++;
            break;
        case ONE:
            if (at == end || !s->sets[256 * step->set + *at])
                return 0;
            at++;
            break;
        case LOOP:
        case UNTIL: {
            const uint8_t *begin = at, *last = end - at > step->most ? at + step->most : end;
            if (step->op == UNTIL)
                at = found(at, last, step->set);
            else
                while (at < last && s->sets[256 * step->set + *at])
                    at++;
            if (at - begin < step->least + step->back)
                return 0;
            at -= step->back;
            break;
        }
        case NOT_BEHIND:
            if (at > line && at[-1] == step->set)
                return 0;
            break;
        case CHOICE:
            if (at == end || !s->sets[256 * step->set + *at])
                step = s->steps + step->least - 1;
            break;
        case JUMP:
            step = s->steps + step->least - 1;
            break;
        case OPEN:
            spans[2 * step->set] = at;
            break;
        case CLOSE:
            spans[2 * step->set + 1] = at;
            break;
        case END:
            return at == end;
        default:
            return 0;
        }
    }
}

/* Return the code of several captures together; their sizes and bytes are put together behind the keys. */
static int32_t joint_code(struct dictionary *d, const int32_t *captures, int32_t count, const uint8_t **spans)
{
    uint32_t size = 0;
    for (int32_t i = 0; i < count; i++) {
        const uint8_t *begin = spans[2 * captures[i]];
        uint32_t length = (uint32_t)(spans[2 * captures[i] + 1] - begin);
        if (d->room - d->used - size < length + 4)
            return FULL;
        memcpy(d->keys + d->used + size, &length, 4);
        memcpy(d->keys + d->used + size + 4, begin, length);
        size += length + 4;
    }
    return code_of(d, field_of(d, d->keys + d->used, size));
}

/* A line that was cut, and its fields on their way. */
struct cut {
    const uint8_t *begin;
    int fits;
    const uint8_t *spans[2 * MOST_CAPTURES];
    struct field fields[MOST_CAPTURES];
};

/* Cut the line that begins at a byte; return where the next one begins. */
static const uint8_t *cut_line(const struct scanner *s, const struct dictionary *d, const uint8_t *line,
                               const uint8_t *stop, struct cut *cut)
{
    const uint8_t *newline = memchr(line, '\n', (size_t)(stop - line));
    const uint8_t *end = newline ? newline : stop;
    const int32_t *captures = s->captures;
    int is_short = end - line <= s->longest;
    if (end > line && end[-1] == '\r')
        end--;
    cut->begin = line;
    cut->fits = is_short && fits(s, line, end, cut->spans);
    for (int32_t i = 0; cut->fits && i < s->width; captures += 1 + *captures, i++) {
        const uint8_t *begin = cut->spans[2 * captures[1]];
        if (*captures == 1)
            cut->fields[i] = field_of(&d[i], begin, (uint32_t)(cut->spans[2 * captures[1] + 1] - begin));
    }
    return newline ? newline + 1 : stop;
}

/* Have the memory fetched that the look-ups of a line need next: entries of dictionaries, or `keys`. */
static void fetch(const struct scanner *s, const struct dictionary *d, const struct cut *cut, int keys)
{
    const int32_t *captures = s->captures;
    for (int32_t i = 0; cut->fits && i < s->width; captures += 1 + *captures, i++) {
        int32_t code = *captures == 1 ? d[i].slots[cut->fields[i].slot] : -1;
        if (code >= 0)
            __builtin_prefetch(keys ? (const void *)(d[i].keys + d[i].entries[code].key) : &d[i].entries[code]);
    }
}

/* Give each field of a line its code; return 0 where a dictionary is full. */
static int look_up(const struct scanner *s, struct dictionary *d, struct cut *cut, int32_t *codes)
{
    const int32_t *captures = s->captures;
    for (int32_t i = 0; i < s->width; captures += 1 + *captures, i++) {
        codes[i] = -1;
        if (!cut->fits)
            continue;
        codes[i] = *captures == 1 ? code_of(&d[i], cut->fields[i])
                                  : joint_code(&d[i], captures + 1, *captures, cut->spans);
        if (codes[i] == FULL)
            return 0;
    }
    return 1;
}

/*
 * Scan whole lines from byte `*next` of a block on: `starts` gets where each line starts, `codes` the codes of
 * its fields, -1 where the line does not fit. Return how many lines, at most `most`, were scanned; fewer than
 * there are where a dictionary is full. `next` gets where the next line starts.
 *
 * A look-up waits for memory three times, so some lines take each step together.
 */
int64_t sluice_scan(const struct scanner *s, struct dictionary *dictionaries, const uint8_t *block, int64_t size,
                    int64_t most, int64_t *next, int64_t *starts, int32_t *codes)
{
    struct cut cuts[TOGETHER];
    const uint8_t *line = block + *next, *stop = block + size;
    int64_t count = 0;
    while (count < most && line < stop) {
        int lines = 0;
        for (; lines < TOGETHER && count + lines < most && line < stop; lines++)
            line = cut_line(s, dictionaries, line, stop, &cuts[lines]);
        for (int i = 0; i < lines; i++)
            fetch(s, dictionaries, &cuts[i], 0);
        for (int i = 0; i < lines; i++)
            fetch(s, dictionaries, &cuts[i], 1);
        for (int i = 0; i < lines; i++, count++, codes += s->width) {
            if (!look_up(s, dictionaries, &cuts[i], codes)) {
                *next = cuts[i].begin - block;
                return count;
            }
            starts[count] = cuts[i].begin - block;
        }
    }
    *next = line - block;
    return count;
}

static uint8_t *put_number(uint8_t *out, uint64_t number, int bytes)
{
    while (bytes--)
        *out++ = (uint8_t)(number >> 8 * bytes);
    return out;
}

/* Return how many bytes the values of all fields take. */
int64_t sluice_values_size(const struct dictionary *dictionaries, int32_t width, const int32_t *codes, int64_t count)
{
    int64_t size = 0;
    for (int64_t line = 0; line < count; line++)
        for (int32_t i = 0; i < width; i++)
            size += dictionaries[i].entries[*codes++].value_size;
    return size;
}

/* Write rows: each a head, `origin` plus the line's start as eight bytes, and the values of its fields. */
void sluice_rows(const struct dictionary *dictionaries, int32_t width, const int32_t *codes, const int64_t *starts,
                 int64_t count, int64_t origin, const uint8_t *head, int64_t head_size, uint8_t *out)
{
    for (int64_t line = 0; line < count; line++) {
        memcpy(out, head, (size_t)head_size);
        out = put_number(out + head_size, (uint64_t)(origin + starts[line]), 8);
        for (int32_t i = 0; i < width; i++) {
            const struct entry *e = &dictionaries[i].entries[*codes++];
            memcpy(out, dictionaries[i].values + e->value, e->value_size);
            out += e->value_size;
        }
    }
}

/* Return how many newlines a block has. */
int64_t sluice_newlines(const uint8_t *block, int64_t size)
{
    int64_t count = 0;
    while (size > 0) {
        uint32_t own = 0; /* in runs, so that the compiler adds many at once */
        int64_t run = size < 4096 ? size : 4096;
        for (int64_t i = 0; i < run; i++)
            own += block[i] == '\n';
        count += own, block += run, size -= run;
    }
    return count;
}

/* Write a row for each line: a head, `origin` plus its start as eight bytes, its length as four, its bytes. */
void sluice_line_rows(const uint8_t *block, int64_t size, int64_t origin, const uint8_t *head, int64_t head_size,
                      uint8_t *out)
{
    const uint8_t *line = block, *stop = block + size;
    while (line < stop) {
        const uint8_t *end = memchr(line, '\n', (size_t)(stop - line));
        if (!end)
            end = stop;
        memcpy(out, head, (size_t)head_size);
        out = put_number(out + head_size, (uint64_t)(origin + (line - block)), 8);
        out = put_number(out, (uint64_t)(end - line), 4);
        memcpy(out, line, (size_t)(end - line));
        out += end - line;
        line = end + 1;
    }
}
