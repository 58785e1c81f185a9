package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/go-text/typesetting/segmenter"
	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"kfactor/campaign"
	"kfactor/engine"
	"kfactor/internal/fault"
)

//go:embed console/*.html
var consoleFiles embed.FS

//go:embed console/style.css
var styleSheet string

// view is what a page shows.
type view struct {
	Lang string
	W    map[string]string // the page's words
	CSS  template.CSS

	Campaign   engine.CampaignView
	Definition *campaign.Definition
	Code       string // the code that the visitor came through, their own on their own page
	Nickname   string // its owner's name
	Own        string // the code that the visitor owns in the campaign
	State      string // why nobody can join now; a word of words.go
	Name       string // what stands in the form
	Problem    string // what is wrong with it; a word of words.go
	Me         engine.ParticipantView
	Wallet     []engine.WalletItem
	Friends    engine.FriendsView
	Board      []boardLine
	Place      boardLine // the visitor's own; its rank is 0 for nobody on the board
	Parcel     parcel

	Title, Message string // of a message
	Onward         string // a page of ours that it leads to, "" for none
	OnwardText     string

	Follow  bool          // whoever is shown the code's page follows by the code on it
	WeChat  bool          // the page is opened in WeChat, on a campaign there
	Words   []string      // that people may say to the account to join
	Picture template.HTML // a QR code drawn into the page
	Share   *share        // the card that WeChat shows of the page; nil for none
	Script  template.JS
}

// boardLine is one line of the ranking.
type boardLine struct {
	Rank   int64
	Beyond bool // somewhere behind that rank
	Name   string
	Count  int64
	Mine   bool
}

// parcel is a reward that is sent by post, with the form that asks where to.
type parcel struct {
	engine.WalletItem
	Form  engine.Address
	Wrong []fault.Field // of the form
}

// Bad says whether something is wrong with a field of the form.
func (p parcel) Bad(field string) bool {
	return slices.ContainsFunc(p.Wrong, func(f fault.Field) bool { return f.Field == field })
}

// Around is what one of the page's sentences says before and after the name in it.
func (v view) Around(sentence string) [2]string {
	before, after, _ := strings.Cut(v.W[sentence], "%s")
	return [2]string{before, after}
}

// TaskTitle is a task as people read it.
func (v view) TaskTitle(name string) string {
	if t := v.Definition.Task(name); t != nil && t.Title != "" {
		return t.Title
	}
	return name
}

// RewardTitle is a reward as people read it.
func (v view) RewardTitle(name string) string {
	if r := v.Definition.Reward(name); r != nil && r.Title != "" {
		return r.Title
	}
	return name
}

// Counting is how many friends count for the participant: the most that a task which counts friends has.
func (v view) Counting() int {
	most := 0
	for _, t := range v.Definition.Tasks {
		if t.Credit == campaign.Inviter {
			most = max(most, v.Me.Tasks[t.Name].Count)
		}
	}
	return most
}

// Has is how far the participant is with a task, at most as far as is asked.
func (v view) Has(task string, asked int) int { return min(v.Me.Tasks[task].Count, asked) }

// Lacks is how many more a task asks for.
func (v view) Lacks(task string, asked int) int { return max(0, asked-v.Me.Tasks[task].Count) }

// Loose are the tasks that no tier asks for.
func (v view) Loose() (names []string) {
	for _, t := range v.Definition.Tasks {
		asked := slices.ContainsFunc(v.Definition.Tiers, func(tier campaign.Tier) bool {
			return slices.ContainsFunc(tier.Requires, func(r campaign.Requirement) bool { return r.Task == t.Name })
		})
		if !asked {
			names = append(names, t.Name)
		}
	}
	return names
}

// Count is how many of a task count.
func (v view) Count(task string) int { return v.Me.Tasks[task].Count }

// FriendName is a friend as the participant may know them.
func (v view) FriendName(f engine.Friend) string {
	if name := masked(f.Nickname); name != "" {
		return name
	}
	return v.W["a_friend"]
}

// FriendWhy is why a friend counts, or does not.
func (v view) FriendWhy(f engine.Friend) string {
	switch f.State {
	case engine.FriendWaits:
		return fmt.Sprintf(v.W["friend_waits_why"], v.Moment(f.Until))
	case engine.FriendRefused:
		for _, key := range []string{"why_" + string(f.Outcome) + "_" + f.Reason, "why_" + string(f.Outcome)} {
			if said, ok := v.W[key]; ok {
				return said
			}
		}
		return v.W["why_other"]
	case engine.FriendLeft:
		return v.W["friend_left_why"]
	}
	if v.severalInvites() {
		titles := make([]string, 0, len(f.Tasks))
		for _, t := range f.Tasks {
			titles = append(titles, v.TaskTitle(t))
		}
		return strings.Join(titles, v.W["list_comma"])
	}
	return ""
}

// severalInvites says whether friends can count for more than one task.
func (v view) severalInvites() bool {
	n := 0
	for _, t := range v.Definition.Tasks {
		if t.Credit == campaign.Inviter {
			n++
		}
	}
	return n > 1
}

// Recipient is an address in short, for a page that others may look at too.
func (v view) Recipient(a engine.Address) string {
	phone := a.Phone
	if n := len(phone); n > 4 {
		phone = "****" + phone[n-4:]
	}
	return masked(a.Name) + " " + phone
}

// masked is another person's name, of which only its first character is shown.
func masked(name string) string {
	name = oneDirection(name)
	if name == "" {
		return ""
	}
	var cut segmenter.Segmenter
	cut.Init([]rune(name))
	characters := cut.GraphemeIterator()
	if !characters.Next() {
		return ""
	}
	return string(characters.Grapheme().Text) + "**"
}

// Held is how many of a task's credits wait for their time.
func (v view) Held(task string) int { return v.Me.Tasks[task].Held }

// Reached says whether the participant reached a tier.
func (v view) Reached(tier string) bool {
	for _, t := range v.Me.Tiers {
		if t.Name == tier {
			return t.Reached
		}
	}
	return false
}

// HasPoster says whether there is a picture to share; otherwise there is the bare code.
func (v view) HasPoster() bool { return !v.Definition.Poster.IsZero() }

// Day is a time as people read it, in the campaign's own time zone.
func (v view) Day(t time.Time) string {
	if v.Definition != nil {
		t = t.In(v.Definition.Schedule.Location())
	}
	return t.Format(v.W["day_format"])
}

// Moment is a time of day as people read it, in the campaign's own time zone.
func (v view) Moment(t time.Time) string {
	return t.In(v.Definition.Schedule.Location()).Format(v.W["moment_format"])
}

func parsePages() (*template.Template, error) {
	return template.New("").Option("missingkey=error").ParseFS(consoleFiles, "console/*.html")
}

var pageLanguages = language.NewMatcher([]language.Tag{language.English, language.Chinese})

// languageOf is the page's language: Chinese where the browser would rather read it, else English.
func languageOf(c echo.Context) string {
	header := c.Request().Header.Get("Accept-Language")
	if len(header) > 256 {
		return "en"
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return "en"
	}
	if _, at, sure := pageLanguages.Match(tags...); at == 1 && sure != language.No {
		return "zh"
	}
	return "en"
}

// styleHash lets the one style sheet of the pages through the content policy.
var styleHash = hashOf(styleSheet)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// shareScript is the one script of the pages: it tells WeChat what card to show of the page.
//
//go:embed console/share.js
var shareScript string

// weChatScripts is where WeChat keeps the script that shareScript calls.
const weChatScripts = "https://res.wx.qq.com"

const pageKey = "kfactor.page"

// asPage has failures of this request shown as pages too.
func asPage(c echo.Context) { c.Set(pageKey, true) }

// render sends a page.
func (s *server) render(c echo.Context, status int, name string, v view) error {
	v.Lang = languageOf(c)
	v.W = words[v.Lang]
	v.CSS = template.CSS(styleSheet)
	v.Script = template.JS(shareScript)
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, v); err != nil {
		return err
	}
	head := c.Response().Header()
	scripts := ""
	if v.Share != nil {
		scripts = "script-src 'sha256-" + hashOf(shareScript) + "' " + weChatScripts + "; "
	}
	head.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; img-src 'self'; style-src 'sha256-"+styleHash+
		"'; "+scripts+"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	head.Set("Content-Language", v.Lang)
	head.Add(echo.HeaderVary, "Accept-Language")
	if head.Get(echo.HeaderCacheControl) == "" {
		head.Set(echo.HeaderCacheControl, "no-store")
	}
	return c.HTMLBlob(status, b.Bytes())
}

// failurePage is a failure as a page; false when the page itself fails.
func (s *server) failurePage(c echo.Context, kind fault.Kind, status int) bool {
	lang := words[languageOf(c)]
	message, ok := lang["failed_"+string(kind)]
	if !ok {
		message = lang["failed_internal"]
	}
	return s.render(c, status, "message", view{Title: lang["failed"], Message: message}) == nil
}
