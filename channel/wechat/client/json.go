package client

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// marshal writes JSON without \u escapes: the platform answers them with 40033, or shows
// them to people as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	if err := to.Encode(v); err != nil {
		return nil, err
	}
	return unescaped(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// unescaped writes \uXXXX as the character it means. The encoder still uses it for control
// characters, which nobody can show and are left out, for U+2028 and U+2029, and for bytes
// that were no UTF-8.
func unescaped(in []byte) []byte {
	if !bytes.Contains(in, []byte(`\u`)) {
		return in
	}
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' || i+1 == len(in) {
			out = append(out, in[i])
			continue
		}
		if in[i+1] != 'u' || i+6 > len(in) {
			out = append(out, in[i], in[i+1])
			i++
			continue
		}
		code, err := strconv.ParseUint(string(in[i+2:i+6]), 16, 16)
		if r := rune(code); err == nil && r > 0x1F {
			out = utf8.AppendRune(out, r)
		}
		i += 5
	}
	return out
}
