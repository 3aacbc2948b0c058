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

            from PIL import Image, ImageTk
        except ImportError as error:
            raise OutputError(
                "no window can be shown: this Python has no tkinter; install it, or omit --show"
            ) from error
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            raise OutputError(f"no window can be shown: {error}; connect a display, or omit --show") from error
        self._from_array, self._new_picture, self._open = Image.fromarray, ImageTk.PhotoImage, True
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        for key in ("<Escape>", "q"):
            self._root.bind(key, lambda _: self._close())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._picture: Any = None
        self._size = (0, 0)

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
        picture = self._from_array(image)
        if self._size == picture.size:
            self._picture.paste(picture)
        else:
            self._size, self._picture = picture.size, self._new_picture(picture)
            self._label.configure(image=self._picture)
        self._root.update()
        return self._open

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._root.destroy()
