package baseline

import "encoding/binary"

// header appends everything before the scan: SOI, JFIF's APP0, DQT, SOF0, DHT, SOS (T.81, B.2).
func (e *Encoder) header(dst []byte, p *Planes) []byte {
	dst = append(dst, 0xff, 0xd8,
		// Version 1.01, pixels are square, no thumbnail.
		0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0)

	dst = append(dst, 0xff, 0xdb, 0, 2+2*65)
	for i, q := range e.quant {
		dst = append(dst, byte(i))
		for _, at := range zigzag {
			dst = append(dst, q.steps[at])
		}
	}

	sampling := byte(0x22)
	if p.Ratio == Ratio444 {
		sampling = 0x11
	}
	dst = append(dst, 0xff, 0xc0, 0, 17, 8)
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.Height))
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.Width))
	dst = append(dst, 3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1)

	size := 2
	for i := range 2 {
		size += 2*17 + len(e.tables.dc[i].values) + len(e.tables.ac[i].values)
	}
	dst = append(dst, 0xff, 0xc4, byte(size>>8), byte(size))
	for i := range 2 {
		dst = append(append(append(dst, byte(i)), e.tables.dc[i].counts[:]...), e.tables.dc[i].values...)
		dst = append(append(append(dst, 0x10|byte(i)), e.tables.ac[i].counts[:]...), e.tables.ac[i].values...)
	}

	return append(dst, 0xff, 0xda, 0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0)
}
