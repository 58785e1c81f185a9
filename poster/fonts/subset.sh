#!/bin/sh
# Makes the fonts of this folder again. Needs npm, python3-fonttools and fonts-noto-color-emoji.
#
#   sh poster/fonts/subset.sh
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # package, version
	mkdir "$work/$1"
	(cd "$work/$1" && npm pack --silent "@expo-google-fonts/$1@$2" >/dev/null && tar xzf ./*.tgz --strip-components=1)
}
fetch noto-sans-sc 0.4.3
fetch noto-sans-kr 0.4.3
fetch source-sans-3 0.4.1
cp "$work/noto-sans-sc/LICENSE_FONT" OFL-NotoSansSC.txt
cp "$work/noto-sans-kr/LICENSE_FONT" OFL-NotoSansKR.txt
cp "$work/source-sans-3/LICENSE_FONT" OFL-PosterLatin.txt

subset() { # font, characters, output
	/usr/bin/python3 charset.py "$2" >"$work/$2.txt"
	/usr/bin/python3 -m fontTools.subset "$work/$1.ttf" --unicodes-file="$work/$2.txt" --output-file="$3" \
		--layout-features=ccmp,locl,mark,mkmk,kern,liga --no-hinting \
		--no-glyph-names --drop-tables+=vhea,vmtx,BASE,STAT,gasp --name-IDs=0,1,2,3,4,5,6,13,14 --notdef-outline
}
subset noto-sans-sc/400Regular/NotoSansSC_400Regular full NotoSansSC-Regular.ttf
subset noto-sans-sc/700Bold/NotoSansSC_700Bold common NotoSansSC-Bold.ttf
subset noto-sans-kr/400Regular/NotoSansKR_400Regular korean NotoSansKR-Regular.ttf
subset source-sans-3/400Regular/SourceSans3_400Regular latin PosterLatin-Regular.ttf
subset source-sans-3/700Bold/SourceSans3_700Bold latin PosterLatin-Bold.ttf

# "Source" is a reserved font name: a changed version must go by another.
/usr/bin/python3 - <<'EOF'
from fontTools.ttLib import TTFont

for weight in ("Regular", "Bold"):
    font = TTFont(f"PosterLatin-{weight}.ttf")
    for record in font["name"].names:
        if record.nameID in (1, 3, 4, 6):
            record.string = "PosterLatin" if record.nameID == 1 else f"PosterLatin-{weight}"
    font.save(f"PosterLatin-{weight}.ttf")
EOF

# The emoji font is taken whole: version 2.042-0+deb12u1 of the Debian package fonts-noto-color-emoji.
cp /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf .
{
	echo "Copyright 2013-2017 Google Inc., Arjen Nienhuis <a.g.nienhuis@gmail.com>"
	echo
	sed -n '/^License: *SIL-1.1$/,$p' /usr/share/doc/fonts-noto-color-emoji/copyright |
		sed -n '/This Font Software is licensed/,$p' | sed 's/^ \.$//; s/^ //'
} >OFL-NotoColorEmoji.txt
