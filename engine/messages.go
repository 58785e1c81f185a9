package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/notify"
)

// MessageView is one message that somebody is or was owed.
type MessageView struct {
	No        int64        `json:"no"`
	User      string       `json:"user,omitempty"`
	Code      string       `json:"code,omitempty"` // absent before they joined
	Kind      notify.Kind  `json:"kind"`
	Word      string       `json:"word"`
	State     notify.State `json:"state"`
	Reason    string       `json:"reason,omitempty"`
	Why       string       `json:"why"`           // English
	WhyZH     string       `json:"why_zh"`        // 中文
	Way       string       `json:"way,omitempty"` // how it was sent, or tried last
	Attempts  int          `json:"attempts"`
	DueAt     *time.Time   `json:"due_at,omitempty"` // of one that is owed: not tried before
	ExpiresAt time.Time    `json:"expires_at"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
}

// ExplainedMessage is a message that a participant is or was owed, with why it stands where it stands.
type ExplainedMessage struct {
	Kind  notify.Kind  `json:"kind"`
	Word  string       `json:"word"`
	State notify.State `json:"state"`
	Why   string       `json:"why"`
	WhyZH string       `json:"why_zh"`
	At    time.Time    `json:"at"` // since when it stands there
}

// MessagesGone says that messages to a participant may have been deleted.
type MessagesGone struct {
	UpTo  time.Time `json:"up_to"` // those written down until then
	Why   string    `json:"why"`
	WhyZH string    `json:"why_zh"`
}

// messagesGone is what to say to somebody who looks for old messages; nil where all are there.
func (e *Engine) messagesGone(ctx context.Context, p *campaign.Person) (*MessagesGone, error) {
	upTo, err := forgottenUpTo(e.DB.WithContext(ctx), p.Campaign)
	if err != nil || upTo == 0 || p.JoinedAt > e.now()-MessagesKept.Milliseconds() {
		return nil, err
	}
	days := int(MessagesKept.Hours() / 24)
	return &MessagesGone{
		UpTo:  moment(upTo),
		Why:   fmt.Sprintf("Messages are kept for %d days after they were sent or given up. Older ones were deleted and are not listed.", days),
		WhyZH: fmt.Sprintf("消息在发送完毕或放弃发送后保留 %d 天，更早的已删除，此处不再列出。", days),
	}, nil
}

// maxExplainedMessages is how many messages a participant's explanation holds, the latest.
const maxExplainedMessages = 100

// Messages lists what people of a campaign are and were owed, in the order it was written down; state "" for any.
// names false leaves out what identifies people.
func (e *Engine) Messages(ctx context.Context, id, state string, page Page, names bool) (List[MessageView], error) {
	list := List[MessageView]{Items: []MessageView{}}
	after, err := page.after()
	if err != nil {
		return list, err
	}
	var last int64
	if after != "" {
		if last, err = strconv.ParseInt(after, 10, 64); err != nil {
			return list, badCursor()
		}
	}
	states := notify.States
	if state != "" {
		if states = []notify.State{notify.State(state)}; !slices.Contains(notify.States, states[0]) {
			return list, fault.New(fault.Invalid, "state=%s is no state of a message; write one of %v", cutID(state), notify.States)
		}
	}
	c, err := e.campaign(ctx, id)
	if err != nil {
		return list, err
	}
	var rows []messageRow
	for _, s := range states { // one after the other, which their index answers in order
		var part []messageRow
		err := e.messagesInState(ctx).Where("campaign = ? AND state = ? AND no > ?", c.no, s, last).Order("no").Limit(page.limit() + 1).Find(&part).Error
		if err != nil {
			return list, err
		}
		rows = append(rows, part...)
	}
	slices.SortFunc(rows, func(a, b messageRow) int { return cmp.Compare(a.No, b.No) })
	// A message that changed its state meanwhile may have been found twice.
	rows = slices.CompactFunc(rows, func(a, b messageRow) bool { return a.No == b.No })
	rows, list.Next = cutPage(rows[:min(len(rows), page.limit()+1)], page, func(m messageRow) string { return strconv.FormatInt(m.No, 10) })
	list.Items, err = e.messageViews(ctx, c, rows, names)
	return list, err
}

// messagesInState asks for messages by campaign and state. MariaDB has to be told the index: for the lowest numbers it
// would go by the primary key, past those of all campaigns.
func (e *Engine) messagesInState(ctx context.Context) *gorm.DB {
	db := e.DB.WithContext(ctx)
	if database.Dialect(db) == database.MySQL {
		db = db.Table("messages FORCE INDEX (messages_by_campaign_state)")
	}
	return db
}

func (e *Engine) messageViews(ctx context.Context, c known, rows []messageRow, names bool) ([]MessageView, error) {
	people := make([]int64, 0, len(rows))
	for _, m := range rows {
		people = append(people, m.Person)
	}
	slices.Sort(people)
	people = slices.Compact(people)
	joined, err := e.peopleAmong(ctx, c.no, people)
	if err != nil {
		return nil, err
	}
	codes := make(map[int64]string, len(joined))
	for _, p := range joined {
		codes[p.Person] = p.Code
	}
	users := map[int64]looks{}
	if names {
		if users, err = e.looks(ctx, people); err != nil {
			return nil, err
		}
	}
	views := make([]MessageView, 0, len(rows))
	for _, m := range rows {
		v := MessageView{
			No: m.No, User: users[m.Person].user, Code: codes[m.Person], Kind: m.Kind, Word: m.Word, State: m.State, Reason: m.Reason,
			Way: m.Way, Attempts: m.Attempts, ExpiresAt: moment(m.ExpiresAt), CreatedAt: moment(m.CreatedAt), UpdatedAt: moment(m.UpdatedAt),
		}
		v.Why, v.WhyZH = notify.Why(m.State, m.Reason)
		if m.State == notify.Owed {
			due := moment(m.DueAt)
			v.DueAt = &due
		}
		views = append(views, v)
	}
	return views, nil
}

// explainMessages tells why the latest messages to a person stand where they stand, in the order they were written down.
func (e *Engine) explainMessages(ctx context.Context, person int64) ([]ExplainedMessage, error) {
	var rows []messageRow
	err := e.DB.WithContext(ctx).Where("person = ? AND kind IN ?", person, notify.Kinds).Order("no DESC").Limit(maxExplainedMessages).Find(&rows).Error
	told := make([]ExplainedMessage, 0, len(rows))
	for _, m := range slices.Backward(rows) {
		x := ExplainedMessage{Kind: m.Kind, Word: m.Word, State: m.State, At: moment(m.UpdatedAt)}
		x.Why, x.WhyZH = notify.Why(m.State, m.Reason)
		told = append(told, x)
	}
	return told, err
}
