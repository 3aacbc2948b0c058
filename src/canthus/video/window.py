"""A live window for the frames of a camera, by Tk, which comes with Python."""

from types import TracebackType
from typing import Any, Self

from canthus.errors import OutputError
from canthus.types import Image


class LiveWindow:
    """Shows pictures as they come; a context manager. It is used by one thread, the main one."""

    def __init__(self, title: str) -> None:
        """Open the window.

        Args:
            title: Its title.

        Raises:
            OutputError: there is no display, or Python comes without Tk.
        """
        try:
            import tkinter
        except ModuleNotFoundError as error:
            raise OutputError(
                "no window can be shown: this Python has no tkinter; install it, or omit --show"
            ) from error
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            raise OutputError(f"no window can be shown: {error}; connect a display, or omit --show") from error
        self._tk, self._open = tkinter, True
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        for key in ("<Escape>", "q"):
            self._root.bind(key, lambda _: self._close())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._picture: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self._root.destroy()

    def show(self, image: Image) -> bool:
        """Show a picture (H, W, 3); False where the window was closed, also by Escape or q."""
        if not self._open:
            return False
        head = f"P6 {image.shape[1]} {image.shape[0]} 255 ".encode()
        self._picture = self._tk.PhotoImage(data=head + image.tobytes(), format="PPM")  # kept, or Tk shows nothing
        self._label.configure(image=self._picture)
        self._root.update()
        return self._open

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._root.destroy()
