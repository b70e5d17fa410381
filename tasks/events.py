"""Events for Flower, sent without waiting for the broker's confirm of each."""

from celery.events.dispatcher import EventDispatcher


class Dispatcher(EventDispatcher):  # type: ignore[misc,unused-ignore]
    """Celery's dispatcher; where it has a channel of its own, that one asks for no confirms.

    Confirms are set by connection, and batches need them. For events a pool's main process waited a third of
    its time, in which it gave its children nothing to do; and with the broker out of memory it would wait on.
    """

    def enable(self) -> None:
        """Begin to send."""
        super().enable()
        if self.channel is None:
            # py-amqp hides the plain publish of the class behind a confirmed one of the object.
            vars(self.producer.channel).pop("basic_publish", None)
