package twin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"sync"
	"time"
	"unicode"
)

// The rules of temporary media: https://developers.weixin.qq.com/doc/service/api/material/temporary/api_uploadtempmedia.
// That page gives 10 MB and 2 MB for pictures; the stricter one holds here.
const (
	mediaLife    = 3 * 24 * time.Hour
	maxUpload    = 12 << 20
	mediaLetters = 64
	maxMediaKept = 200_000
)

type mediaKind struct {
	limit    int
	tooLarge int // errcode
	types    []string
}

var mediaKinds = map[string]mediaKind{
	"image": {2 << 20, 40009, []string{"image/png", "image/jpeg", "image/gif"}},
	"voice": {2 << 20, 45001, []string{"audio/mpeg", "audio/amr"}},
	"video": {10 << 20, 45001, []string{"video/mp4"}},
	"thumb": {64 << 10, 40009, []string{"image/jpeg"}},
}

// uploaded is one temporary medium.
type uploaded struct {
	id      string
	kind    string
	picture string // the bytes' name among the pictures
	name    string
	expires time.Time
}

// media holds what was uploaded, by its id.
type media struct {
	mu    sync.RWMutex
	byID  map[string]*uploaded
	made  map[string]int64 // uploads of the same bytes
	order []string
}

// find gives a medium that still lives.
func (m *media) find(id string, now time.Time) (*uploaded, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	found := m.byID[id]
	if found == nil || !now.Before(found.expires) {
		return nil, refuse(40007)
	}
	return found, nil
}

func (t *Twin) keepMedia(kind, name string, body []byte, now time.Time) *uploaded {
	hash := t.pictures.keep(body, t.cfg.MaxImageBytes)
	m := &t.media
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID == nil {
		m.byID, m.made = map[string]*uploaded{}, map[string]int64{}
	}
	m.made[hash]++
	kept := &uploaded{
		id: t.ids.letters(mediaLetters, "media", kind, hash, nth(m.made[hash])), kind: kind,
		picture: hash, name: name, expires: now.Add(mediaLife),
	}
	m.byID[kept.id] = kept
	if m.order = append(m.order, kept.id); len(m.order) > maxMediaKept {
		delete(m.byID, m.order[0])
		m.order = m.order[1:]
	}
	return kept
}

// uploadMedia takes a file from the multipart field "media".
func (c *call) uploadMedia() (any, error) {
	kind := c.query("type")
	rules, known := mediaKinds[kind]
	if !known {
		return nil, refuse(40004)
	}
	name, body, err := c.upload()
	switch {
	case err != nil:
		return nil, err
	case len(body) == 0:
		return nil, refuse(44001)
	case len(body) > rules.limit:
		return nil, refuse(rules.tooLarge)
	}
	found := contentType(body)
	fits := false
	for _, t := range rules.types {
		fits = fits || t == found
	}
	if !fits {
		return nil, refuse(40005)
	}
	kept := c.keepMedia(kind, name, body, c.now)
	answer := map[string]any{"type": kind, "created_at": c.now.Unix()}
	if kind == "thumb" {
		answer["thumb_media_id"] = kept.id
	} else {
		answer["media_id"] = kept.id
	}
	return answer, nil
}

// upload reads the file of a multipart body.
func (c *call) upload() (name string, body []byte, err error) {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxUpload)
	parts, err := c.r.MultipartReader()
	if err != nil {
		return "", nil, refuse(41005)
	}
	for range 10 {
		part, err := parts.NextPart()
		if err != nil {
			return "", nil, tooLarge(err, 41005)
		}
		if part.FormName() != "media" || part.FileName() == "" {
			continue
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return "", nil, tooLarge(err, 41005)
		}
		return plainName(part), body, nil
	}
	return "", nil, refuse(41005)
}

func tooLarge(err error, otherwise int) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refuse(45001)
	}
	return refuse(otherwise)
}

// plainName is a file's name without what a header could not carry.
func plainName(part *multipart.Part) string {
	var name []rune
	for _, c := range path.Base(part.FileName()) {
		if unicode.IsPrint(c) && c != '"' && c != '\\' && len(name) < 100 {
			name = append(name, c)
		}
	}
	return string(name)
}

// contentType looks at the first bytes, not at what the caller says.
func contentType(body []byte) string {
	if bytes.HasPrefix(body, []byte("#!AMR")) {
		return "audio/amr"
	}
	return http.DetectContentType(body)
}

func (c *call) getMedia() (any, error) {
	id := c.query("media_id")
	if id == "" {
		return nil, refuse(41006)
	}
	found, err := c.media.find(id, c.now)
	if err != nil {
		return nil, err
	}
	if found.kind == "video" {
		return map[string]string{"video_url": c.BaseURL() + "/_twin/pictures/" + found.picture}, nil
	}
	body := c.pictures.bytes(found.picture)
	if body == nil {
		return nil, refuse(40007)
	}
	return &blob{contentType(body), found.name, body}, nil
}

// pictures keeps every file once, by its hash, and lets the oldest go when there are too many bytes.
type pictures struct {
	mu    sync.RWMutex
	kept  map[string][]byte
	order []string
	size  int64
}

// keep gives the name under which the bytes are found.
func (p *pictures) keep(body []byte, most int64) string {
	sum := sha256.Sum256(body)
	name := hex.EncodeToString(sum[:16])
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, has := p.kept[name]; has {
		return name
	}
	if p.kept == nil {
		p.kept = map[string][]byte{}
	}
	p.kept[name] = body
	p.order = append(p.order, name)
	for p.size += int64(len(body)); p.size > most && len(p.order) > 1; {
		oldest := p.order[0]
		p.size -= int64(len(p.kept[oldest]))
		delete(p.kept, oldest)
		p.order = p.order[1:]
	}
	return name
}

// bytes gives a file, nil when it is not kept.
func (p *pictures) bytes(name string) []byte {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.kept[name]
}

// asJPEG encodes a picture.
func asJPEG(img image.Image) []byte {
	var out bytes.Buffer
	// Writing to memory does not fail, and the pictures drawn here are far below JPEG's largest.
	_ = jpeg.Encode(&out, img, &jpeg.Options{Quality: 90})
	return out.Bytes()
}
