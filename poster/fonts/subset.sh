#!/bin/sh
# Makes the fonts of this folder again. Needs npm, python3-fonttools and fonts-noto-color-emoji.
#
#   sh poster/fonts/subset.sh
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$work" && npm pack --silent @expo-google-fonts/noto-sans-sc@0.4.3 >/dev/null && tar xzf ./*.tgz)
cp "$work/package/LICENSE_FONT" OFL-NotoSansSC.txt

subset() { # weight, characters, output
	/usr/bin/python3 charset.py "$2" >"$work/$2.txt"
	/usr/bin/python3 -m fontTools.subset "$work/package/$1.ttf" --unicodes-file="$work/$2.txt" --output-file="$3" \
		--layout-features=ccmp,locl,mark,mkmk,kern,liga --no-hinting \
		--no-glyph-names --drop-tables+=vhea,vmtx,BASE,STAT,gasp --name-IDs=0,1,2,3,4,5,6,13,14 --notdef-outline
}
subset 400Regular/NotoSansSC_400Regular full NotoSansSC-Regular.ttf
subset 700Bold/NotoSansSC_700Bold common NotoSansSC-Bold.ttf

# The emoji font is taken whole: version 2.042-0+deb12u1 of the Debian package fonts-noto-color-emoji.
cp /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf .
{
	echo "Copyright 2013-2017 Google Inc., Arjen Nienhuis <a.g.nienhuis@gmail.com>"
	echo
	sed -n '/^License: *SIL-1.1$/,$p' /usr/share/doc/fonts-noto-color-emoji/copyright |
		sed -n '/This Font Software is licensed/,$p' | sed 's/^ \.$//; s/^ //'
} >OFL-NotoColorEmoji.txt
