"""Reading ahead: a thread makes the items of an iterator while the caller works on the ones before."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


def read_ahead(
    items: Iterable[_Item], room: float, size: Callable[[_Item], float] = lambda item: 1.0
) -> Generator[_Item, None, None]:
    """Yield items that a thread makes while the caller works. Closing the generator ends the thread.

    Args:
        items: Items; an error that making one raises is raised here, behind the items before it.
        room: Size of the items that wait together, at most, if there is more than one.
        size: Function from an item to its size.

    Example:
        >>> list(read_ahead(iter(range(3)), room=2.0))
        [0, 1, 2]
    """
    waiting: deque[tuple[_Item, float]] = deque()
    errors: list[BaseException] = []
    changed = threading.Condition()
    is_over = is_closed = False

    def has_room(taken: float) -> bool:
        return not waiting or sum(one for _, one in waiting) + taken <= room

    def make() -> None:
        nonlocal is_over
        try:
            for item in items:
                taken = size(item)
                with changed:
                    while not (is_closed or has_room(taken)):
                        changed.wait()
                    if is_closed:
                        return
                    waiting.append((item, taken))
                    changed.notify_all()
        except BaseException as error:
            errors.append(error)
        finally:
            with changed:
                is_over = True
                changed.notify_all()

    thread = threading.Thread(target=make, name="vocable-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: waiting or is_over)
                if not waiting:
                    break
                item, _ = waiting.popleft()
                changed.notify_all()
            yield item
        if errors:
            raise errors[0]
    finally:
        with changed:
            is_closed = True
            changed.notify_all()
        thread.join()
