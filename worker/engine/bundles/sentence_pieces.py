"""Reads the vocabulary of a SentencePiece model: the text of each token, by id."""

from __future__ import annotations

from pathlib import Path

from common.errors import ModelUnavailable


def read_pieces(path: Path) -> list[str]:
    """The text of each token with `▁` for a space; one that is a byte of a character is written `<0xE4>`.

    Tokens that SentencePiece leaves out of a text (`<s>`, `</s>`) and the unknown token are "".
    Raises ModelUnavailable if the file is not a SentencePiece model.
    """
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise ModelUnavailable(f"{path} is not a readable SentencePiece model: {error}") from error

    def silent(number: int) -> bool:
        return bool(processor.IsControl(number) or processor.IsUnknown(number))

    count = processor.GetPieceSize()
    return ["" if silent(number) else str(processor.IdToPiece(number)) for number in range(count)]
