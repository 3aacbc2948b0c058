"""The file in a form (multipart/form-data, RFC 7578), in memory: what is parsed is never written to the disk."""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from canthus.serve.refusal import CLOSED, Refusal

FORM = "multipart/form-data"
PARTS = 9
"""Largest number of parts of a form."""
HOW = "send one picture; with curl: -F image=@portrait.jpg"


class _Parts:
    """The parts of a form, as a parser reports them."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.whole = False
        self._count = 0
        self._field, self._disposition, self._data = b"", b"", bytearray()

    def begin(self) -> None:
        self._count += 1
        if self._count > PARTS:
            raise Refusal(422, f"the form has more than {PARTS} parts; {HOW}")
        self._field, self._disposition, self._data = b"", b"", bytearray()

    def field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition += data[start:end]

    def header_end(self) -> None:
        self._field = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def part_end(self) -> None:
        if b"filename" in parse_options_header(self._disposition)[1]:
            self.files.append(bytes(self._data))

    def end(self) -> None:
        self.whole = True


def file_in(form: bytes, content_type: str) -> bytes:
    """The one file of a form; its other fields are passed over.

    Args:
        form: The body of a request.
        content_type: Its type, which names the frontier between the parts.

    Raises:
        Refusal: 422; the form is damaged or cut short, or does not hold one file.
    """
    frontier = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not frontier:
        raise Refusal(422, f"the type of the form names no boundary; {HOW}")
    parts = _Parts()
    try:
        parser = MultipartParser(
            frontier,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.field,
                "on_header_value": parts.value,
                "on_header_end": parts.header_end,
                "on_part_data": parts.data,
                "on_part_end": parts.part_end,
                "on_end": parts.end,
            },
        )
        parser.write(form)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(422, f"the form is damaged: {error}; {HOW}", CLOSED) from error
    if not parts.whole:
        raise Refusal(422, f"the form is cut short; {HOW}")
    if len(parts.files) != 1:
        raise Refusal(422, f"the form holds {len(parts.files) or 'no'} files; {HOW}")
    return parts.files[0]
