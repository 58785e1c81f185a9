package poster

import (
	"bytes"
	"encoding/binary"
)

// exifOrientation finds the EXIF orientation of a JPEG, 1 to 8; 1, upright, when it says none.
func exifOrientation(b []byte) int {
	const soi, app1, sos = 0xd8, 0xe1, 0xda
	if len(b) < 4 || b[0] != 0xff || b[1] != soi {
		return 1
	}
	for b = b[2:]; len(b) >= 4 && b[0] == 0xff && b[1] != sos; {
		size := int(binary.BigEndian.Uint16(b[2:]))
		if size < 2 || len(b) < 2+size {
			return 1
		}
		if segment := b[4 : 2+size]; b[1] == app1 && bytes.HasPrefix(segment, []byte("Exif\x00\x00")) {
			return tiffOrientation(segment[6:])
		}
		b = b[2+size:]
	}
	return 1
}

// tiffOrientation reads tag 0x0112 of the first directory of a TIFF header.
func tiffOrientation(b []byte) int {
	const tagOrientation, typeShort = 0x0112, 3
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(b[:2]) {
	case "II":
		order = binary.LittleEndian
	case "MM":
		order = binary.BigEndian
	default:
		return 1
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 1
	}
	entries := b[at+2:]
	for n := int(order.Uint16(b[at:])); n > 0 && len(entries) >= 12; n-- {
		if order.Uint16(entries) == tagOrientation && order.Uint16(entries[2:]) == typeShort {
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
		entries = entries[12:]
	}
	return 1
}
