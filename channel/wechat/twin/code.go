package twin

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	qrcode "github.com/skip2/go-qrcode"
)

// The rules of parametric codes: https://developers.weixin.qq.com/doc/service/api/qrcode/qrcodes/api_createqrcode.md.
const (
	longestCode    = 2592000 // seconds
	shortestCode   = 60      // seconds, when none are given
	maxPermanent   = 100_000
	maxScene       = 64
	maxKeptCodes   = 1_000_000
	codePixels     = 430
	codeAddress    = "http://weixin.qq.com/q/02"
	codeLetters    = 22
	maxLimitedID   = 100_000
	ticketAncestor = 0x3cef
)

// code is one parametric code.
type code struct {
	scene   string // as pushes tell it, a number in decimal
	number  int64  // 0 for the scenes that are strings
	ticket  string
	url     string
	expires time.Time // zero: permanent
}

// codes holds the account's codes.
type codes struct {
	mu        sync.RWMutex
	byTicket  map[string]*code
	byURL     map[string]*code
	made      map[string]int64 // codes made for a scene
	order     []*code          // temporary ones, oldest first
	permanent int
}

func (c *codes) ofURL(url string) *code {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byURL[url]
}

func (c *codes) ofTicket(ticket string) *code {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byTicket[ticket]
}

func (c *code) expired(now time.Time) bool { return !c.expires.IsZero() && !now.Before(c.expires) }

type codeAnswer struct {
	Ticket  string `json:"ticket"`
	Expires int64  `json:"expire_seconds,omitempty"`
	URL     string `json:"url"`
}

func (c *call) createCode() (any, error) {
	var asked struct {
		Expire *int64 `json:"expire_seconds"`
		Action string `json:"action_name"`
		Info   struct {
			Scene *struct {
				ID  *int64  `json:"scene_id"`
				Str *string `json:"scene_str"`
			} `json:"scene"`
		} `json:"action_info"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	// Without the scene object the platform makes a code all the same, whose pushes then carry 0.
	scene := "0"
	permanent := asked.Action == "QR_LIMIT_SCENE" || asked.Action == "QR_LIMIT_STR_SCENE"
	in := asked.Info.Scene
	switch asked.Action {
	case "QR_SCENE", "QR_LIMIT_SCENE":
		if in == nil {
			break
		}
		if in.ID == nil || *in.ID < 1 || *in.ID > 1<<32-1 || permanent && *in.ID > maxLimitedID {
			return nil, refuse(40053)
		}
		scene = strconv.FormatInt(*in.ID, 10)
	case "QR_STR_SCENE", "QR_LIMIT_STR_SCENE":
		if in == nil {
			break
		}
		if in.Str == nil || *in.Str == "" || utf8.RuneCountInString(*in.Str) > maxScene {
			return nil, refuse(40053)
		}
		scene = *in.Str
	default:
		return nil, refuse(40053)
	}
	seconds := int64(shortestCode)
	if asked.Expire != nil {
		seconds = *asked.Expire
	}
	if permanent {
		seconds = 0
	} else if seconds < 1 || seconds > longestCode {
		return nil, refuse(40053)
	}
	made, err := c.Twin.makeCode(asked.Action, scene, seconds, c.now)
	if err != nil {
		return nil, err
	}
	return codeAnswer{made.ticket, seconds, made.url}, nil
}

// makeCode keeps a new code; seconds 0 make it permanent.
func (t *Twin) makeCode(action, scene string, seconds int64, now time.Time) (*code, error) {
	all := &t.codes
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.byTicket == nil {
		all.byTicket, all.byURL, all.made = map[string]*code{}, map[string]*code{}, map[string]int64{}
	}
	if seconds == 0 && all.permanent >= maxPermanent {
		return nil, refuse(45029)
	}
	which := action + " " + scene
	all.made[which]++
	// What does not parse is no number: a string of digits stays a string.
	var number int64
	if action == "QR_SCENE" || action == "QR_LIMIT_SCENE" {
		number, _ = strconv.ParseInt(scene, 10, 64)
	}
	made := &code{scene: scene, number: number, url: codeAddress + t.ids.letters(codeLetters, "code", which, nth(all.made[which]))}
	made.ticket = ticket(made.url, now, seconds, t.ids.sum("ticket", made.url)[0])
	all.byTicket[made.ticket], all.byURL[made.url] = made, made
	if seconds == 0 {
		all.permanent++
		return made, nil
	}
	made.expires = now.Add(time.Duration(seconds) * time.Second)
	if all.order = append(all.order, made); len(all.order) > maxKeptCodes {
		oldest := all.order[0]
		delete(all.byTicket, oldest.ticket)
		delete(all.byURL, oldest.url)
		all.order[0], all.order = nil, all.order[1:]
	}
	return made, nil
}

// ticket builds a ticket of the anatomy that published samples show; callers should find nothing in it.
func ticket(url string, now time.Time, seconds int64, varying byte) string {
	b := []byte{0x81, 0x01, varying}
	b = binary.LittleEndian.AppendUint16(b, ticketAncestor)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 1, byte(len(url)))
	b = append(b, url...)
	b = append(b, 0, 0x02, 0x04)
	b = binary.LittleEndian.AppendUint32(b, uint32(now.Unix()))
	b = append(b, 0x03, 0x04)
	b = binary.LittleEndian.AppendUint32(b, uint32(seconds))
	return base64.URLEncoding.EncodeToString(b)
}

// showCode serves the picture of a code; it asks for no token.
func (t *Twin) showCode(w http.ResponseWriter, r *http.Request) {
	found := t.codes.ofTicket(r.URL.Query().Get("ticket"))
	if found == nil {
		http.NotFound(w, r)
		return
	}
	q, err := qrcode.New(found.url, qrcode.Medium)
	if err != nil {
		http.Error(w, "the code cannot be drawn", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Write(asJPEG(q.Image(codePixels)))
}
