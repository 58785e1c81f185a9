package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"

	"kfactor/channel/wechat/twin"
	"kfactor/engine"
)

func (p *Play) knewBefore(ctx context.Context, f fan) error {
	if f.before == stranger {
		return nil
	}
	return p.people[f.number].Follow(ctx)
}

func (p *Play) leftBefore(ctx context.Context, f fan) error {
	if f.before != gone {
		return nil
	}
	return p.people[f.number].Unfollow(ctx)
}

// arrive is a fan's first visit: they look at the poster in a friend's chat, open what its code holds, and follow.
// Those who come by themselves search for the account; those who follow already ask for their poster.
func (p *Play) arrive(ctx context.Context, f fan) error {
	me := p.people[f.number]
	if f.inviter == nobody {
		switch {
		case f.before != follower:
			return me.Follow(ctx)
		case f.byText:
			return me.Say(ctx, "海报")
		}
		_, err := me.Tap(ctx, "POSTER")
		return err
	}
	seen, err := p.scan(ctx, f, f.inviter)
	if err != nil {
		return err
	}
	switch {
	case seen.Page == twin.ExpiredPage:
		return errExpired
	case f.before == follower && seen.Page != twin.ChatPage, f.before != follower && seen.Page != twin.ProfilePage:
		return fmt.Errorf("the code opens %q", seen.Page)
	case f.before == follower:
		return nil
	case f.looks:
		me.Leave()
		return nil
	}
	p.mu.Lock()
	p.seen[me.OpenID] = seen.Scene
	p.mu.Unlock()
	return me.Follow(ctx)
}

// scan is what a phone does with the poster in a friend's chat: it reads the code in the picture and opens what the
// code holds.
func (p *Play) scan(ctx context.Context, f fan, friend int) (twin.Seen, error) {
	posters := postersOf(p.people[friend])
	if len(posters) == 0 {
		return twin.Seen{}, fmt.Errorf("looking at fan %d's phone: %w", friend, errNoPoster)
	}
	holds, err := readQR(posters[len(posters)-1])
	if err != nil {
		return twin.Seen{}, fmt.Errorf("the poster of fan %d: %w", friend, err)
	}
	p.Pictures.Add(1)
	seen, err := p.people[f.number].Scan(ctx, holds)
	if err != nil {
		return seen, err
	}
	if code := p.journal.codes[p.people[friend].OpenID]; seen.Scene != code {
		return seen, fmt.Errorf("the poster of fan %d holds %s, which leads to %q (%s) instead of %q", friend, holds, seen.Scene, seen.Page, code)
	}
	return seen, nil
}

// postersOf are the pictures that the account has sent somebody, oldest first.
func postersOf(f *twin.Fan) [][]byte {
	var found [][]byte
	for _, m := range f.Chat() {
		if m.By == twin.ByAccount && m.Type == "image" && m.Image != nil {
			found = append(found, m.Image)
		}
	}
	return found
}

// greeted looks whether those who came have got what they came for: a word and their poster.
func (p *Play) greeted(ctx context.Context, f fan) error {
	if !f.joins() {
		return nil
	}
	me := p.people[f.number]
	if len(postersOf(me)) == 0 {
		return p.unsent(ctx, me, errNoPoster)
	}
	text := false
	for _, m := range me.Chat() {
		text = text || m.By == twin.ByAccount && m.Type == "text" && m.Text != ""
	}
	if !text {
		return fmt.Errorf("nobody said a word to them")
	}
	if f.number == p.star {
		p.shown.Store(me)
	}
	p.Joined.Add(1)
	return nil
}

// unsent adds to a mistake what the server says of its messages to somebody.
func (p *Play) unsent(ctx context.Context, me *twin.Fan, mistake error) error {
	messages, err := all[engine.MessageView](ctx, p, campaignPath+"/messages?")
	if err != nil {
		return errors.Join(mistake, err)
	}
	said := "the server says of their messages"
	for _, m := range messages {
		if m.User == me.OpenID {
			said += fmt.Sprintf("; %s (%s): %s", m.Word, m.Kind, m.Why)
		}
	}
	return fmt.Errorf("%w; %s", mistake, said)
}

// wander is what some scan besides: another friend's poster, or their own.
func (p *Play) wander(ctx context.Context, f fan) error {
	if f.second != nobody {
		if _, err := p.scan(ctx, f, f.second); err != nil {
			return err
		}
	}
	if f.ownCode {
		if _, err := p.scan(ctx, f, f.number); err != nil {
			return err
		}
	}
	return nil
}

var askedForLooks = regexp.MustCompile(`href="(/wechat/[^"]*ask=profile)"`)

// openPage is a visit to the page of their own, by the account's menu. Some let it have their name and picture; some
// agree to be told of rewards.
func (p *Play) openPage(ctx context.Context, f fan) error {
	if !f.opens {
		return nil
	}
	me := p.people[f.number]
	tapped, err := me.Tap(ctx, "我的进度")
	if err != nil {
		return err
	}
	page, err := p.read(ctx, me, tapped.URL)
	if err != nil {
		return err
	}
	if f.dresses {
		link := askedForLooks.FindSubmatch(page.Body)
		if link == nil {
			return fmt.Errorf("%s does not ask for a name and a picture", page.URL)
		}
		if page, err = p.read(ctx, me, p.address+html.UnescapeString(string(link[1]))); err != nil {
			return err
		}
		if !bytes.Contains(page.Body, []byte(html.EscapeString(f.name))) {
			return fmt.Errorf("%s does not call them %q", page.URL, f.name)
		}
	}
	if f.agrees {
		return me.Accept(ctx, noticeID)
	}
	return nil
}

// read opens a page that must be there.
func (p *Play) read(ctx context.Context, me *twin.Fan, address string) (twin.Page, error) {
	page, err := me.Open(ctx, address)
	if err == nil && page.Status != http.StatusOK {
		err = fmt.Errorf("%s answers %d", page.URL, page.Status)
	}
	p.Pages.Add(1)
	return page, err
}

// renew is a wish for a poster with the name and picture on it.
func (p *Play) renew(ctx context.Context, f fan) error {
	if !f.dresses {
		return nil
	}
	_, err := p.people[f.number].Tap(ctx, "POSTER")
	return err
}

// renewed looks whether it is another one.
func (p *Play) renewed(_ context.Context, f fan) error {
	if !f.dresses {
		return nil
	}
	posters := postersOf(p.people[f.number])
	if n := len(posters); n < 2 || bytes.Equal(posters[0], posters[n-1]) {
		return fmt.Errorf("the poster does not show who they are: %d posters", n)
	}
	return nil
}

// check is a look at how far they are, by the menu.
func (p *Play) check(ctx context.Context, f fan) error {
	if !f.joins() || !f.checks || f.away() {
		return nil
	}
	_, err := p.people[f.number].Tap(ctx, "progress")
	return err
}

func (p *Play) leave(ctx context.Context, f fan) error {
	if !f.leaves {
		return nil
	}
	return p.people[f.number].Unfollow(ctx)
}

func (p *Play) comeBack(ctx context.Context, f fan) error {
	if !f.returns {
		return nil
	}
	return p.people[f.number].Follow(ctx)
}

// ask is a question, written or by the menu.
func (p *Play) ask(ctx context.Context, f fan) error {
	if f.asks.word == "" || f.away() {
		return nil
	}
	if f.byText {
		return p.people[f.number].Say(ctx, f.asks.word)
	}
	_, err := p.people[f.number].Tap(ctx, f.asks.tap)
	return err
}

// talk is the dialogue in which somebody becomes a member.
func (p *Play) talk(ctx context.Context, f fan) error {
	if !f.talks {
		return nil
	}
	me := p.people[f.number]
	said := []string{"绑定会员", f.phone()}
	if f.mistypes {
		said = []string{"绑定会员", f.phone()[:8], f.phone()}
	}
	for _, text := range said {
		if err := me.Say(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// goShopping is what the shop tells: who became a member there, and who bought something.
func (p *Play) goShopping(ctx context.Context, f fan) error {
	if f.binds {
		if err := p.tell(ctx, f, "bind", nil); err != nil {
			return err
		}
	}
	if f.order > 0 {
		return p.tell(ctx, f, "purchase", f.payment())
	}
	return nil
}

func (p *Play) refund(ctx context.Context, f fan) error {
	if !f.refunds {
		return nil
	}
	return p.tell(ctx, f, "refund", f.payment())
}

func (f fan) payment() any {
	return map[string]any{"amount": f.order, "currency": "CNY", "order": fmt.Sprintf("order-%05d", f.number)}
}

// tell sends the shop's news of a fan. Some of it is delivered twice, which must change nothing.
func (p *Play) tell(ctx context.Context, f fan, kind string, data any) error {
	ev := engine.Incoming{ID: fmt.Sprintf("shop-%05d-%s", f.number, kind), Campaign: CampaignID, Type: kind, User: p.people[f.number].OpenID}
	if data != nil {
		var err error
		if ev.Data, err = json.Marshal(data); err != nil {
			return err
		}
	}
	var receipt engine.Receipt
	if err := p.shop.Post(ctx, "/v1/events", ev, &receipt); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if receipt.Accepted != 1 {
		return fmt.Errorf("%s was not accepted: %+v", kind, receipt)
	}
	if f.number%5 > 0 {
		return nil
	}
	var again engine.Receipt
	if err := p.shop.Post(ctx, "/v1/events", ev, &again); err != nil {
		return fmt.Errorf("%s again: %w", kind, err)
	}
	if again.Accepted != 0 || again.Duplicates != 1 {
		return fmt.Errorf("%s was delivered twice and not noticed: %+v", kind, again)
	}
	return nil
}
