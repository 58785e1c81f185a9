package settings

import (
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Channel is a place where fans are met, beside the web, which needs no set-up. Printed or logged it shows no secret.
type Channel struct {
	Kind        string // "wechat"
	AppID       string
	AppSecret   string           `json:"-"`
	Token       string           `json:"-"` // signs the platform's callbacks
	AESKey      string           `json:"-"` // 43 characters; empty for plain callbacks
	APIURL      string           // the platform's interfaces, without a slash at the end
	OpenURL     string           // the platform's pages that people sign in on
	OriginalID  string           // gh_…; empty where it was not given
	DailyLimits map[string]int64 // by path (/cgi-bin/qrcode/create): calls a day, where the account has others than new ones
}

// String names the channel's account, without its secrets.
func (c Channel) String() string { return c.Kind + " " + c.AppID }

// GoString is String.
func (c Channel) GoString() string { return c.String() }

// LogValue is String.
func (c Channel) LogValue() slog.Value { return slog.StringValue(c.String()) }

const (
	weChatAPI  = "https://api.weixin.qq.com"
	weChatOpen = "https://open.weixin.qq.com"
	weChatHost = "weixin.qq.com"

	// fromEnv begins a value that stands in the environment, so that the file holds no secret.
	fromEnv = "env:"
)

var (
	channelKeys = []string{"kind", "app_id", "app_secret", "token", "aes_key", "api_url", "open_url", "original_id", "daily_limits"}

	// limitKeys are the interfaces whose calls are counted, by their paths below /cgi-bin/.
	limitKeys = []string{
		"message/custom/send", "message/template/send", "message/subscribe/bizsend", "qrcode/create", "media/upload",
		"user/info", "user/info/batchget",
	}
)

// maxDaily bounds a limit of calls a day; the platform grants none that is higher.
const maxDaily = 1_000_000_000

// The forms that the platform gives these values (its settings page refuses others).
var (
	channelName  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	tokenForm    = regexp.MustCompile(`^[0-9A-Za-z]{3,32}$`)
	aesKeyForm   = regexp.MustCompile(`^[0-9A-Za-z]{43}$`)
	originalForm = regexp.MustCompile(`^gh_[0-9A-Za-z]{1,40}$`)
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (r fileReader) channel(named, node ast.Node) Channel {
	name, at := named.GetToken().Value, r.place(named)
	field := func(key string) string { return "channels." + name + "." + key }
	wrong := func(key, format string, args ...any) {
		r.problems.add("%s%s: %s", at, field(key), fmt.Sprintf(format, args...))
	}
	if !channelName.MatchString(name) || name == "web" {
		r.problems.add("%schannels.%s: a channel's name is 1 to 32 of a-z, 0-9 and dashes, and not web, which needs no set-up", at, name)
	}
	c := Channel{}
	texts := map[string]string{}
	for keyNode, value := range r.entries(node, "channels."+name) {
		switch key := keyNode.GetToken().Value; {
		case !slices.Contains(channelKeys, key):
			r.problems.add("%s%s is not a setting of a channel; %s", r.place(keyNode), field(key), Suggest(key, channelKeys))
		case key == "daily_limits":
			c.DailyLimits = r.dailyLimits(field(key), value)
		default:
			texts[key] = r.secret(field(key), value)
		}
	}
	c.Kind, c.AppID, c.AppSecret = texts["kind"], texts["app_id"], texts["app_secret"]
	c.Token, c.AESKey, c.OriginalID = texts["token"], texts["aes_key"], texts["original_id"]
	c.APIURL, c.OpenURL = strings.TrimRight(texts["api_url"], "/"), strings.TrimRight(texts["open_url"], "/")
	if c.Kind != "wechat" {
		wrong("kind", "%q is no kind of channel; write wechat", c.Kind)
		return c
	}
	c.addresses(wrong)
	for _, key := range []string{"app_id", "app_secret"} {
		if texts[key] == "" {
			wrong(key, "is missing; copy it from the account's settings page")
		}
	}
	if !tokenForm.MatchString(c.Token) {
		wrong("token", "must be 3 to 32 letters and digits, the same as on the account's settings page")
	}
	if c.AESKey != "" && !aesKeyForm.MatchString(c.AESKey) {
		wrong("aes_key", "must be 43 letters and digits; leave it out for plain mode")
	}
	if c.OriginalID != "" && !originalForm.MatchString(c.OriginalID) {
		wrong("original_id", "must be gh_ and letters and digits, as on the account's settings page; leave it out if in doubt")
	}
	return c
}

// addresses checks where the platform is, and fills in where it usually is. A stand-in has everything in one place.
func (c *Channel) addresses(wrong func(key, format string, args ...any)) {
	if c.APIURL == "" {
		c.APIURL = weChatAPI
	}
	if c.OpenURL == "" {
		c.OpenURL = weChatOpen
		if u, err := url.Parse(c.APIURL); err == nil && u.Hostname() != weChatHost && !strings.HasSuffix(u.Hostname(), "."+weChatHost) {
			c.OpenURL = c.APIURL
		}
	}
	if !webAddress(c.APIURL) {
		wrong("api_url", "is not a web address; leave it out for %s", weChatAPI)
	} else if !webAddress(c.OpenURL) {
		wrong("open_url", "is not a web address; leave it out for %s", weChatOpen)
	}
}

func webAddress(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// secret is a text, or env: and the name of the variable that holds it.
func (r fileReader) secret(field string, node ast.Node) string {
	text := r.text(field, node)
	variable, found := strings.CutPrefix(text, fromEnv)
	if !found {
		return text
	}
	switch value := r.environ[variable]; {
	case !variableForm.MatchString(variable):
		r.problems.add("%s%s: write env: and the name of a variable, like env:WECHAT_SECRET", r.place(node), field)
	case value == "":
		r.problems.add("%s%s: the variable %s is not set", r.place(node), field, variable)
	default:
		r.named[variable] = true
		return value
	}
	return ""
}

// dailyLimits are calls a day by interface, for accounts that have others than new ones.
func (r fileReader) dailyLimits(field string, node ast.Node) map[string]int64 {
	limits := map[string]int64{}
	for keyNode, value := range r.entries(node, field) {
		key := strings.TrimPrefix(strings.TrimPrefix(keyNode.GetToken().Value, "/"), "cgi-bin/")
		if !slices.Contains(limitKeys, key) {
			r.problems.add("%s%s.%s is not an interface whose calls are counted; %s", r.place(keyNode), field, key, Suggest(key, limitKeys))
			continue
		}
		n, err := strconv.ParseInt(r.text(field+"."+key, value), 10, 64)
		if err != nil || n < 1 || n > maxDaily {
			r.problems.add("%s%s.%s: write how many calls a day the platform takes, from 1 to %d", r.place(keyNode), field, key, maxDaily)
			continue
		}
		limits["/cgi-bin/"+key] = n
	}
	return limits
}

// oneEach refuses two channels on one account: the platform tells an account's news to one address.
func oneEach(channels map[string]Channel, problems *Problems) {
	first := map[string]string{}
	for _, name := range sortedNames(channels) {
		id := channels[name].AppID
		if other, twice := first[id]; twice && id != "" {
			problems.add("channels.%s.app_id: %s is the account of channel %s already; an account is one channel", name, id, other)
			continue
		}
		first[id] = name
	}
}

func sortedNames(channels map[string]Channel) []string {
	names := make([]string, 0, len(channels))
	for name := range channels {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
