package client

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// answer is what the platform sent with HTTP status 200.
type answer struct {
	contentType string
	body        []byte
}

// failure is the error that the answer holds, nil where it holds none. Success bodies are
// not uniform: many interfaces leave errcode out. Files come as they are, their errors as JSON.
func (a answer) failure(r request, hide *strings.Replacer) error {
	if r.file && !a.object() {
		return nil
	}
	var said struct {
		Code    int    `json:"errcode"`
		Message string `json:"errmsg"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil || !a.object() {
		return &Unreachable{Path: r.path, Status: 200, Message: "the answer is not the JSON that this interface gives"}
	}
	if said.Code == 0 {
		return nil
	}
	message, rid := splitRID(said.Message)
	return &Error{Path: r.path, Code: said.Code, Message: clean(hide.Replace(message)), RID: rid}
}

// object reports whether the body is a JSON object by its first character.
func (a answer) object() bool {
	return bytes.HasPrefix(bytes.TrimLeft(a.body, " \t\r\n"), []byte("{"))
}

// decode reads the answer into out, which may be nil.
func (a answer) decode(path string, out any) error {
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return malformed(path)
	}
	return nil
}

// malformed is an answer that is JSON but lacks what the interface promises.
func malformed(path string) error {
	return &Unreachable{Path: path, Status: 200, Message: "the answer lacks what this interface gives"}
}

var ridMark = regexp.MustCompile(`\s*,?\s*rid:\s*([0-9A-Za-z-]{1,64})\s*$`)

// splitRID takes the request id off the end of an errmsg. The platform's staff ask for it.
func splitRID(message string) (string, string) {
	found := ridMark.FindStringSubmatchIndex(message)
	if found == nil {
		return message, ""
	}
	return message[:found[0]], message[found[2]:found[3]]
}
