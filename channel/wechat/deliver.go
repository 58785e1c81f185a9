package wechat

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"kfactor/channel/wechat/client"
	"kfactor/channel/wechat/wire"
	"kfactor/engine"
	"kfactor/internal/crash"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/notify"
)

const (
	deliverMost = 64               // messages taken at once
	deliverAt   = 16               // worked on at once
	deliverFor  = 30 * time.Second // after that the rest is left for the next time
	deliverOne  = 40 * time.Second // one message may take
	maxAttempts = 8                // for what fails here and not at the platform

	firstBackoff = 2 * time.Second // doubled with each attempt
	lastBackoff  = 5 * time.Minute

	// young is how old a message is that may have been owed a moment before its fan's row was written.
	young = time.Minute
)

// The ways of a message.
const (
	wayService = "service" // a customer-service message
	wayNotice  = "notice"  // a notice that the fan agreed to
)

// Deliver sends what is due on a channel, the most urgent first, and says whether there may be more. What cannot be
// sent now waits, or is tried again later, with the reason; each message is settled by itself.
func (c *Channels) Deliver(ctx context.Context, channel string) (more bool, err error) {
	s, err := c.serving(ctx, channel)
	if err != nil {
		return false, err
	}
	d := c.desks[s.name]
	if d.health.away(c.Now()) {
		return false, nil // it stays owed until the platform can be asked again
	}
	most := deliverMost
	if d.health.doubtful() {
		most = 1
	}
	began := time.Now()
	owed, err := c.engine.TakeOwed(ctx, channel, most, c.lease)
	if err != nil || len(owed) == 0 {
		return false, err
	}
	held, release := d.lease(ctx, owed, began)
	defer release()
	fans, err := d.fansOf(ctx, channel, owed)
	if err != nil {
		return false, err // the lease gives them back
	}
	// What one fan is owed goes out in its order: the last message that they may be sent is for the most urgent one.
	var users []string
	perUser := map[string][]*engine.Owed{}
	for i := range owed {
		if perUser[owed[i].User] == nil {
			users = append(users, owed[i].User)
		}
		perUser[owed[i].User] = append(perUser[owed[i].User], &owed[i])
	}
	end := began.Add(deliverFor)
	var group errgroup.Group
	group.SetLimit(deliverAt)
	for _, user := range users {
		group.Go(func() error {
			var errs []error
			for _, o := range perUser[user] {
				settled := engine.Settled{State: notify.Owed} // as it was, when we are to stop
				if ctx.Err() == nil && time.Now().Before(end) {
					one, ours := held.begin(ctx, o.No)
					if !ours {
						continue
					}
					settled = d.deliver(one, o, fans[user])
					if settled.State != notify.Sent && !held.has(o.No) {
						continue // whoever has it now says what becomes of it
					}
				}
				settled.No, settled.Taker = o.No, o.Taker
				crash.Point("wechat.sent")
				errs = append(errs, d.channels.settles.do(context.WithoutCancel(ctx), &settled))
				held.end(o.No)
			}
			return errors.Join(errs...)
		})
	}
	err = group.Wait()
	return len(owed) == most && ctx.Err() == nil, err
}

// receiver is the fan whom a message goes to.
type receiver struct {
	fan    fan
	openid string // "" while nothing can be sent there
}

// fansOf finds the fans of an account whom the campaigns of a channel know as these users.
func (d *desk) fansOf(ctx context.Context, channel string, owed []engine.Owed) (map[string]*receiver, error) {
	users := map[string]string{} // by key
	for _, o := range owed {
		if o.User != "" {
			users[string(d.accounts.userKey(o.User))] = o.User
		}
	}
	found := map[string]*receiver{}
	db := d.accounts.DB.WithContext(ctx)
	keys := func() (missing [][]byte) {
		for key, user := range users {
			if found[user] == nil {
				missing = append(missing, []byte(key))
			}
		}
		return missing
	}
	if missing := keys(); len(missing) > 0 {
		var rows []fan
		if err := db.Where("channel = ? AND user_key IN ?", d.name, missing).Find(&rows).Error; err != nil {
			return nil, err
		}
		d.addReceivers(found, rows, func(f fan) string { return users[string(f.UserKey)] })
	}
	missing := keys()
	if moved, err := d.accounts.wasMoved(ctx, channel); err != nil || !moved || len(missing) == 0 {
		return found, err
	}
	// Campaigns know people by the openid at the account where they met them.
	known, err := d.accounts.unionsOf(ctx, channel, missing)
	if err != nil {
		return nil, err
	}
	unions := map[string]string{}
	for key, union := range known {
		unions[string(union)] = users[key]
	}
	if len(unions) == 0 {
		return found, nil
	}
	var here []fan
	if err := db.Where("channel = ? AND union_key IN ?", d.name, bytesOf(unions)).Find(&here).Error; err != nil {
		return nil, err
	}
	d.addReceivers(found, here, func(f fan) string { return unions[string(f.UnionKey)] })
	return found, nil
}

func bytesOf(keys map[string]string) [][]byte {
	list := make([][]byte, 0, len(keys))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		list = append(list, []byte(key))
	}
	return list
}

func (d *desk) addReceivers(found map[string]*receiver, rows []fan, user func(fan) string) {
	for _, f := range rows {
		openid, err := d.accounts.sealer.Open(f.OpenEnc)
		if err != nil {
			d.accounts.Log.Error("a fan's row does not open", "fan", f.No, "err", err)
		}
		// Of two rows for one user the one that can be written to counts.
		if before := found[user(f)]; before == nil || !before.fan.Follows {
			found[user(f)] = &receiver{f, openid}
		}
	}
}

// rankOf is a message's rank.
func rankOf(k notify.Kind) rank { return rank(k.Priority()) }

// deliver sends one message by the best way that there is now.
func (d *desk) deliver(ctx context.Context, o *engine.Owed, to *receiver) engine.Settled {
	if to == nil || !to.fan.Follows || to.openid == "" {
		moved, err := d.accounts.wasMoved(ctx, o.Channel)
		if err != nil {
			return d.settled(ctx, o, to, err)
		}
		switch {
		case d.accounts.Now().Sub(o.CreatedAt) < young, to == nil && moved && o.User != "":
			// They are about to be written down, or have not come over from the account before this one.
			return engine.Settled{State: notify.Waiting, Reason: notify.NoWindow}
		case to == nil:
			return engine.Settled{State: notify.Unsent, Reason: notify.NoUser}
		}
		return engine.Settled{State: notify.Unsent, Reason: notify.NotFollowing}
	}
	if o.Kind == notify.Poster {
		if settled, ok := d.join(ctx, o); !ok {
			return settled
		}
	}
	o.Language = d.tongue(ctx).language
	text := o.Text()
	if text == "" && o.Kind != notify.Poster {
		return engine.Settled{State: notify.Unsent, Reason: notify.NothingToSay}
	}
	err := errNoWindow
	if to.fan.left(rankOf(o.Kind), d.accounts.now()) > 0 {
		if o.Kind == notify.Poster && !o.Definition.Poster.IsZero() {
			err = d.sendPoster(ctx, o, to)
		} else {
			err = d.sendTo(ctx, &to.fan, rankOf(o.Kind), func() error { return d.client.SendText(ctx, to.openid, wire.Cut(text)) })
		}
	}
	if err == nil {
		return engine.Settled{State: notify.Sent, Way: wayService}
	}
	if errors.Is(err, errNoWindow) {
		switch sent, err := d.sendNotice(ctx, o, to, text); {
		case err != nil:
			return d.settled(ctx, o, to, err)
		case sent:
			return engine.Settled{State: notify.Sent, Way: wayNotice}
		}
		return engine.Settled{State: notify.Waiting, Reason: notify.NoWindow}
	}
	return d.settled(ctx, o, to, err)
}

// join makes sure that somebody who is owed their poster has a code. It is false when that settles the message.
func (d *desk) join(ctx context.Context, o *engine.Owed) (engine.Settled, bool) {
	if o.Code != "" {
		return engine.Settled{}, true
	}
	v, _, err := d.engine.Join(ctx, o.Campaign, engine.Joining{User: o.User, InvitedBy: o.Facts.InvitedBy})
	switch fault.KindOf(err) {
	case fault.Conflict, fault.NotFound, fault.Invalid:
		return engine.Settled{State: notify.Unsent, Reason: notify.NotJoined}, false
	}
	if err != nil {
		return d.settled(ctx, o, nil, err), false
	}
	o.Code = v.Code
	return engine.Settled{}, true
}

// sendPoster prints a poster, uploads it and sends it. A picture that the platform has lost before its time is uploaded
// anew, once.
func (d *desk) sendPoster(ctx context.Context, o *engine.Owed, to *receiver) error {
	err := d.sendPicture(ctx, o, to)
	if client.CodeOf(err) == client.CodeInvalidMedia {
		err = d.sendPicture(ctx, o, to)
	}
	return err
}

func (d *desk) sendPicture(ctx context.Context, o *engine.Owed, to *receiver) error {
	format := o.Definition.Poster.Format
	for {
		tag, print, err := d.engine.Poster(ctx, o.Code, "", format)
		if err != nil {
			return err
		}
		key := "poster " + tag
		id, err := d.media(ctx, key, rankOf(o.Kind), format, func() ([]byte, error) {
			d.channels.printing <- struct{}{}
			defer func() { <-d.channels.printing }()
			return print(nil)
		})
		if fault.KindOf(err) == fault.TooLarge && format != "jpeg" {
			format = "jpeg"
			continue
		}
		if err != nil {
			return err
		}
		err = d.sendTo(ctx, &to.fan, rankOf(o.Kind), func() error { return d.client.SendImage(ctx, to.openid, id) })
		if client.CodeOf(err) == client.CodeInvalidMedia {
			return errors.Join(err, d.loseMedia(context.WithoutCancel(ctx), key, id))
		}
		return err
	}
}

// printers bounds the posters that are printed at once: each takes a core and memory.
func printers() int { return max(1, runtime.NumCPU()) }

// sendNotice sends a message as a notice, where the account has one for its kind and the fan has agreed to it.
func (d *desk) sendNotice(ctx context.Context, o *engine.Owed, to *receiver, text string) (bool, error) {
	script, err := d.script.of(ctx, d)
	if err != nil {
		return false, err
	}
	notice, ok := script.Notices[string(o.Kind)]
	if !ok || to.fan.memory().Consents[notice.Template] == 0 {
		return false, nil
	}
	values := o.Values()
	values["name"], values["text"] = o.Definition.Name, text
	values["time"] = d.accounts.Now().In(o.Definition.Schedule.Location()).Format("2006-01-02 15:04")
	if ok, err := d.takeConsent(ctx, &to.fan, notice.Template, -1); !ok || err != nil {
		return false, err
	}
	err = d.call(ctx, apiNotice, rankOf(o.Kind), func() error {
		return d.client.SendSubscription(ctx, client.SubscriptionMessage{
			To: to.openid, TemplateID: notice.Template, Page: notice.Page, Data: notice.Data(values),
		})
	})
	switch {
	case err == nil:
		return true, nil
	case client.CodeOf(err) == client.CodeRefusedNotice: // they have taken it back
		_, err := d.takeConsent(ctx, &to.fan, notice.Template, 0)
		return false, err
	}
	if _, err := d.takeConsent(context.WithoutCancel(ctx), &to.fan, notice.Template, +1); err != nil {
		d.accounts.Log.Warn("a consent was lost", "channel", d.name, "err", err)
	}
	return false, err
}

var errNoConsent = errors.New("the fan has not agreed to this notice, or not to another")

// takeConsent takes one of a fan's consents (-1), gives it back (+1) or forgets them all (0). It is false where there
// is none to take.
func (d *desk) takeConsent(ctx context.Context, f *fan, template string, by int) (bool, error) {
	c := change{fresh: *f, alter: func(f *fan) error {
		m := f.memory()
		if m.Consents[template]+by < 0 {
			return errNoConsent
		}
		if m.Consents == nil {
			m.Consents = map[string]int{}
		}
		if m.Consents[template] += by; by == 0 || m.Consents[template] == 0 {
			delete(m.Consents, template)
		}
		f.remember(m)
		return nil
	}}
	err := d.writes.do(ctx, &c)
	return err == nil && c.err == nil, err
}

var errNoWindow = errors.New("the platform allows no message to this fan now")

// taking is one message taken from what a fan may be sent.
type taking struct {
	no    int64 // of the fan
	floor int
	taken bool
}

// take takes many messages. Each is a condition that the database settles: two who want the last one do not both get it.
func (s *station) take(ctx context.Context, takings []*taking) error {
	soonest := s.accounts.now() + sendTime.Milliseconds()
	slices.SortStableFunc(takings, func(a, b *taking) int { return int(a.no - b.no) }) // as every process takes them
	return database.Transact(ctx, s.accounts.DB, func(tx *gorm.DB) error {
		for _, t := range takings {
			got := tx.Exec("UPDATE fans SET allowance = allowance - 1 WHERE no = ? AND allowance > ? AND allowance_until > ?", t.no, t.floor, soonest)
			if got.Error != nil {
				return got.Error
			}
			t.taken = got.RowsAffected == 1
		}
		return nil
	})
}

// sendTo sends a customer-service message within what the platform allows for this fan. errNoWindow says that it allows
// none; what was not sent is not counted.
func (s *station) sendTo(ctx context.Context, f *fan, r rank, send func() error) error {
	t := taking{no: f.No, floor: floor(r, f.AllowanceUntil-s.accounts.now())}
	if f.left(r, s.accounts.now()) <= 0 {
		return errNoWindow
	}
	if err := s.takes.do(ctx, &t); err != nil {
		return err
	}
	if !t.taken {
		return errNoWindow
	}
	err := s.call(ctx, apiSend, r, send)
	if err == nil {
		return nil
	}
	db := s.accounts.DB.WithContext(context.WithoutCancel(ctx))
	switch client.CodeOf(err) {
	case client.CodeWindowClosed, client.CodeAllowanceUsed:
		s.accounts.Log.Info("the platform allows fewer messages than were counted", "channel", s.name, "err", err)
		shut := db.Exec("UPDATE fans SET allowance = 0 WHERE no = ? AND allowance_until <= ?", f.No, f.AllowanceUntil)
		return errors.Join(errNoWindow, shut.Error)
	}
	back := db.Exec("UPDATE fans SET allowance = allowance + 1 WHERE no = ? AND allowance_until = ? AND allowance_until > 0", f.No, f.AllowanceUntil)
	return errors.Join(err, back.Error)
}

// settled is what becomes of a message that could not be sent.
func (d *desk) settled(ctx context.Context, o *engine.Owed, to *receiver, err error) engine.Settled {
	log := d.accounts.Log.With("channel", d.name, "campaign", o.Campaign, "kind", string(o.Kind), "attempt", o.Attempts)
	now := d.accounts.Now()
	later := func(reason string, at time.Time) engine.Settled {
		return engine.Settled{State: notify.Owed, Reason: reason, DueAt: at}
	}
	var spent *spentError
	var away *awayError
	var said *client.Error
	var lost *client.Unreachable
	switch {
	case errors.As(err, &spent) && spent.paused:
		return later(notify.PausedByThem, spent.until)
	case errors.As(err, &spent):
		return later(notify.Quota, spent.until)
	case errors.As(err, &away) && away.paused:
		return later(notify.PausedByThem, away.until)
	case errors.As(err, &away):
		return later(notify.Unreachable, away.until)
	case errors.As(err, &lost):
		return later(notify.Unreachable, now.Add(backoff(o.Attempts)))
	case errors.As(err, &said):
		return d.refusedMessage(ctx, o, to, said, now)
	case o.Attempts < maxAttempts:
		log.Warn("a message could not be made", "err", err)
		return later(notify.Failed, now.Add(backoff(o.Attempts)))
	}
	log.Error("a message could not be made, and is given up", "err", err)
	return engine.Settled{State: notify.Unsent, Reason: notify.Failed}
}

// refusedMessage is what becomes of a message that the platform refused.
func (d *desk) refusedMessage(ctx context.Context, o *engine.Owed, to *receiver, said *client.Error, now time.Time) engine.Settled {
	later := func(reason string, at time.Time) engine.Settled {
		return engine.Settled{State: notify.Owed, Reason: reason, DueAt: at}
	}
	if err := d.health.may(now); err != nil { // it was the account that was refused, not this call
		return later(notify.PausedByThem, now.Add(backoff(o.Attempts)))
	}
	unsent := func(reason string) engine.Settled { return engine.Settled{State: notify.Unsent, Reason: reason} }
	switch said.Code {
	case client.CodeDailyQuota:
		return later(notify.Quota, refusedUntil(now))
	case client.CodeMinuteQuota:
		return later(notify.Quota, now.Add(minutePause))
	case client.CodeForbidden, client.CodeUnauthorized:
		return later(notify.PausedByThem, now.Add(alarmPause))
	case client.CodeInvalidMedia:
		if o.Attempts < maxAttempts { // also the one that was uploaded anew
			return later(notify.Failed, now.Add(backoff(o.Attempts)))
		}
		return unsent(notify.Failed)
	case client.CodeNotFollowing:
		if to != nil {
			gone := change{fresh: to.fan, alter: func(f *fan) error {
				f.leave(now.UnixMilli())
				return nil
			}}
			if err := d.writes.do(ctx, &gone); err != nil {
				d.accounts.Log.Warn("a fan who left", "channel", d.name, "err", err)
			}
		}
		return unsent(notify.NotFollowing)
	case client.CodeInvalidOpenID:
		return unsent(notify.NoUser)
	}
	switch said.Class() {
	case client.Retry:
		return later(notify.Unreachable, now.Add(backoff(o.Attempts)))
	case client.Refresh:
		return later(notify.PausedByThem, now.Add(backoff(o.Attempts)))
	case client.Pause:
		return later(notify.PausedByThem, now.Add(max(fixPause, backoff(o.Attempts))))
	}
	d.accounts.Log.Warn("the platform refused a message", "channel", d.name, "campaign", o.Campaign, "kind", string(o.Kind), "err", said)
	return unsent(notify.Refused)
}

// backoff is how long after an attempt the next one is made.
func backoff(attempts int) time.Duration {
	wait := min(firstBackoff<<min(max(attempts-1, 0), 16), lastBackoff)
	return wait + rand.N(wait/4)
}

// settleAll settles many messages.
func (c *Channels) settleAll(ctx context.Context, settled []*engine.Settled) error {
	all := make([]engine.Settled, len(settled))
	for i, s := range settled {
		all[i] = *s
	}
	return c.engine.SettleOwed(ctx, all)
}
