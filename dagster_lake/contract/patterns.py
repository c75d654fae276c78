"""Regular expressions of contracts: RE2's, in a form that every release of RE2 at hand reads the same.

DuckDB has one release of RE2 built in. Spark's own expressions are Java's, which take other things for the same sign,
time that grows exponentially, and a stack that a long text overflows; so Spark asks pyarrow, which has another release
of RE2. What those two read differently is spelled in another way here, or refused.
"""

import re
from collections.abc import Iterator

from dagster_lake.errors import LakeError

_CATEGORIES = "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Co Cs Any"
_SCRIPTS = """
    Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo
    Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Common Coptic
    Cuneiform Cypriot Cyrillic Deseret Devanagari Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian
    Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew
    Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana
    Kayah_Li Kharoshthi Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani
    Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive
    Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nandinagari New_Tai_Lue Newa Nko Nushu
    Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian
    Old_South_Arabian Old_Turkic Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician
    Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng
    Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangut Telugu Thaana
    Thai Tibetan Tifinagh Tirhuta Ugaritic Vai Wancho Warang_Citi Yi Zanabazar_Square
"""
_CLASSES = {*_CATEGORIES.split(), *_SCRIPTS.split()}
# What Unicode 15.1 added: pyarrow's release knows it, and DuckDB's is of 15.0.
_IDEOGRAPHS, _DESCRIPTIONS = "\\x{2EBF0}-\\x{2EE5D}", "\\x{2FFC}-\\x{2FFF}\\x{31EF}"
_ADDED = dict.fromkeys(("L", "Lo", "Han"), _IDEOGRAPHS) | dict.fromkeys(("S", "So", "Common"), _DESCRIPTIONS)
# Letters that 15.1 takes for one another without case, and 15.0 does not.
_FOLDED = (("\u0390", "\u1fd3"), ("\u03b0", "\u1fe3"), ("\ufb05", "\ufb06"))

_PROPERTY = re.compile(r"\\([pP])(?:\{(\^?)(\w+)\}|(\w))")
_GROUP = re.compile(r"\((?:\?P?<\w+>|\?([a-zA-Z-]*)[:)])?")
_NAMED_CLASS = re.compile(r"\[:\^?\w+:\]")
_HEXADECIMAL = re.compile(r"\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})")
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|\Z)", re.DOTALL)
_CONTROLS = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_OTHERS = set("dDsSwWAzbB")


class PatternError(LakeError):
    """A pattern that cannot be used; the message names the part and the remedy."""


def common_pattern(pattern: str) -> str:
    """``pattern`` so that both releases of RE2 find it in the same texts. Raises PatternError."""
    _compile(pattern)
    found = _Parts(pattern).text()
    # Releases differ in how large an expression they take; what fits twice into one fits into the other.
    _compile(f"(?:{found})(?:{found})")
    return found


def _compile(pattern: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.nulls(1, pa.string()), pattern)  # a text here would import pandas
    except pa.ArrowException as error:
        told = str(error).split(": ", 1)[-1]
        if "too large" in told:
            raise PatternError("is too large; repeat less, or name fewer characters") from None
        raise PatternError(f"{told}; write it as RE2 reads it, without look-around and back references") from None


class _Parts:
    """Reads a valid expression from front to end."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.ignores_case = False
        self.ranges: list[tuple[str, str]] = []

    def text(self) -> str:
        """The expression as it is to be spelled."""
        found = "".join(self._all())
        if self.ignores_case:
            for pair in _FOLDED:
                for low, high in self.ranges:
                    if (low <= pair[0] <= high) != (low <= pair[1] <= high):
                        raise PatternError(
                            f"{pair[0]!r} and {pair[1]!r} are the same without case in some engines only; "
                            "name both of them, or none"
                        )
        return found

    def _all(self) -> Iterator[str]:
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            if character == "\\":
                yield self._escape(in_class=False)[0]
            elif character == "[":
                yield self._class()
            elif character == "(":
                yield self._group()
            else:
                self.ranges.append((character, character))
                self.at += 1
                yield character

    def _group(self) -> str:
        match = _GROUP.match(self.pattern, self.at)
        assert match is not None
        self.at = match.end()
        self.ignores_case |= "i" in (match[1] or "").partition("-")[0]
        # Names of groups have no use here, and not every release takes (?<name>...).
        return "(" if match[1] is None else match[0]

    def _class(self) -> str:
        """A bracket expression."""
        found, first = ["["], self.at + 1
        self.at += 1
        if self.pattern[self.at] == "^":
            found.append("^")
            self.at += 1
            first += 1
        while self.pattern[self.at] != "]" or self.at == first:
            if match := _NAMED_CLASS.match(self.pattern, self.at):
                self.at = match.end()
                found.append(match[0])
                continue
            text, low = self._character()
            found.append(text)
            is_range = low is not None and self.pattern[self.at] == "-" and self.pattern[self.at + 1] != "]"
            high = low
            if is_range:
                self.at += 1
                text, high = self._character()
                found.append(f"-{text}")
            if low is not None and high is not None:
                self.ranges.append((low, high))
        self.at += 1
        return "".join((*found, "]"))

    def _character(self) -> tuple[str, str | None]:
        """What stands in a bracket expression, and the character that it is, if it is one."""
        character = self.pattern[self.at]
        if character == "\\":
            return self._escape(in_class=True)
        self.at += 1
        return character, character

    def _escape(self, *, in_class: bool) -> tuple[str, str | None]:
        """An escape as it is to be spelled, and the character that it is, if it is one."""
        letter = self.pattern[self.at + 1]
        if letter in "pP" and (match := _PROPERTY.match(self.pattern, self.at)):
            self.at = match.end()
            return self._property(match, in_class=in_class), None
        if match := _HEXADECIMAL.match(self.pattern, self.at):
            self.at = match.end()
            character = chr(int(match[1] or match[2], 16))
            if not in_class:
                self.ranges.append((character, character))
            return match[0], character
        if letter == "Q" and not in_class and (match := _QUOTED.match(self.pattern, self.at)):
            self.at = match.end()
            self.ranges += [(character, character) for character in match[1]]
            return "".join(f"\\{c}" if c.isascii() and not c.isalnum() and c != "_" else c for c in match[1]), None
        if letter in _OTHERS:
            self.at += 2
            return f"\\{letter}", None
        if letter in _CONTROLS or not (letter.isascii() and letter.isalnum()):
            self.at += 2
            character = _CONTROLS.get(letter, letter)
            if not in_class:
                self.ranges.append((character, character))
            return f"\\{letter}", character
        raise PatternError(f"\\{letter} is not supported; write the character as \\x{{...}}")

    def _property(self, match: re.Match[str], *, in_class: bool) -> str:
        name = match[3] or match[4]
        if name not in _CLASSES:
            raise PatternError(f"{match[0]} is not known to every engine; name the characters")
        if name not in _ADDED:
            return match[0]
        negated = (match[1] == "P") != (match[2] == "^")
        if in_class and negated:
            raise PatternError(f"{match[0]} inside of brackets is not supported; write it outside of them")
        characters = f"\\p{{{name}}}{_ADDED[name]}"
        return characters if in_class else f"[{'^' if negated else ''}{characters}]"
