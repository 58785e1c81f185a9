"""Prints the characters a subset keeps, one "U+XXXX" a line: charset.py full|common|latin|korean."""

import sys


def double_byte(encoding):
    """Every character of a double-byte character set."""
    kept = set()
    for lead in range(0x81, 0xFF):
        for trail in range(0x40, 0xFF):
            try:
                text = bytes((lead, trail)).decode(encoding)
            except UnicodeDecodeError:
                continue
            if len(text) == 1:
                kept.add(ord(text))
    return kept


def big5_level_1():
    """The 5401 most used Traditional characters: Big5 rows A4 to C6."""
    return {c for c in double_byte("big5") if 0xA440 <= int.from_bytes(chr(c).encode("big5"), "big") <= 0xC67E}


# The characters of China's general table (2013) that are in extension A, for names such as 䶮.
EXTENSION_A = (
    "㑇㑊㕮㘎㙍㙘㙦㛃㛚㛹㟃㠇㠓㤘㥄㧐㧑㧟㫰㬊㬎㬚㭎㭕㮾㰀㳇㳘㳚㴔㵐㶲㸆㸌㺄㻬㽏㿠"
    "䁖䂮䃅䃎䅟䌹䎃䎖䏝䏡䏲䐃䓖䓛䓨䓫䓬䗖䗛䗪䗴䜣䝙䢺䢼䣘䥽䦃䲟䲠䲢䴓䴔䴕䴖䴗䴘䴙䶮"
)

scripts = [
    (0x0020, 0x024F),  # Latin
    (0x0300, 0x036F),  # combining marks
    (0x0370, 0x052F),  # Greek, Cyrillic
    (0x1E00, 0x1EFF),  # Latin with marks, Vietnamese
    (0x2000, 0x2BFF),  # punctuation, currency, letter-like, arrows, maths, shapes
    (0x3000, 0x312F),  # CJK punctuation, kana, bopomofo
    (0x31F0, 0x33FF),  # small kana, enclosed and squared letters
    (0xFE30, 0xFE4F),  # CJK compatibility forms
    (0xFF00, 0xFFEF),  # full and half width forms
]
latin = [
    (0x0020, 0x024F),  # Latin
    (0x0300, 0x036F),  # combining marks
    (0x0370, 0x052F),  # Greek, Cyrillic
    (0x1E00, 0x1FFF),  # Latin and Greek with marks
]


def hangul():
    """The 2350 syllables of KS X 1001, the letters, and what stands between words."""
    syllables = {c for c in double_byte("euc_kr") if 0xAC00 <= c <= 0xD7A3}
    return syllables | set(range(0x3131, 0x318F))


if sys.argv[1] in ("latin", "korean"):
    kept = hangul() if sys.argv[1] == "korean" else {c for first, last in latin for c in range(first, last + 1)}
    for c in sorted(kept):
        print("U+%04X" % c)
    sys.exit()

kept = {c for first, last in scripts for c in range(first, last + 1)}
kept |= double_byte("gb2312") | big5_level_1()
if sys.argv[1] == "full":
    # All of GBK, Big5 and Shift JIS, and the whole first CJK block, for given names with rare characters.
    kept |= double_byte("gbk") | double_byte("big5") | double_byte("shift_jis")
    kept |= set(range(0x4E00, 0xA000)) | set(range(0x20000, 0x323B0)) | set(map(ord, EXTENSION_A))
for c in sorted(kept):
    print("U+%04X" % c)
