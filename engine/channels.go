package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"kfactor/campaign"
	"kfactor/internal/code"
	"kfactor/internal/fault"
)

// WebChannel is the channel whose codes are links under the public address.
const WebChannel = "web"

// Channel is a place where a campaign meets people.
type Channel interface {
	// CodeLink is what a QR code holds that brings people through a participant's code, and until when it does;
	// a zero time is for ever.
	CodeLink(ctx context.Context, code string) (link string, until time.Time, err error)
	// Users tells whom names stand for, in their order: what senders call a user by, such as member:17, instead of as the
	// campaigns on the channel know them. Only names with a colon are asked about, MaxBatch at most.
	Users(ctx context.Context, names []string) ([]Who, error)
}

// Who is whom a name stands for.
type Who struct {
	User string // as campaigns know them
	Err  error  // why it stands for nobody: fault.NotFound says what would change that, fault.Invalid what is wrong with it
}

// web is the channel that needs no set-up.
type web struct{ engine *Engine }

// CodeLink is the link to the page behind a code.
func (w web) CodeLink(_ context.Context, code string) (string, time.Time, error) {
	return w.engine.InviteLink(code), time.Time{}, nil
}

// Users are who they are called: the web has no other names.
func (w web) Users(_ context.Context, names []string) ([]Who, error) {
	all := make([]Who, len(names))
	for i, name := range names {
		all[i].User = name
	}
	return all, nil
}

// maxChannelLink is the most bytes of what a channel's QR codes hold.
const maxChannelLink = 64

// channel is where a campaign meets people.
func (e *Engine) channel(d *campaign.Definition) (Channel, error) {
	if d.Channel == WebChannel {
		return web{e}, nil
	}
	c := e.Channels[d.Channel]
	if c == nil {
		return nil, fault.New(fault.Conflict, "channel %q is not configured; name it under channels in the settings file", d.Channel)
	}
	return c, nil
}

// printedLink is what the QR code on a participant's poster holds.
func (e *Engine) printedLink(ctx context.Context, d *campaign.Definition, code string) (string, error) {
	if d.QR == campaign.LinkInQR {
		return e.InviteLink(code), nil
	}
	link, _, err := e.followLink(ctx, d, code)
	return link, err
}

// followLink is what a QR code holds that leads straight to where a participant's friends follow, and until when.
func (e *Engine) followLink(ctx context.Context, d *campaign.Definition, code string) (string, time.Time, error) {
	c, err := e.channel(d)
	if err != nil {
		return "", time.Time{}, err
	}
	return c.CodeLink(ctx, code)
}

// linkBytes is the most bytes that the QR codes on a campaign's posters hold.
func (e *Engine) linkBytes(d *campaign.Definition) int {
	n := len(e.InviteLink(string(make([]byte, code.Length))))
	if d.Channel != WebChannel {
		n = max(n, maxChannelLink)
	}
	return n
}

// CodeLink is what a QR code of a participant's code holds, and until when it works; a zero time is for ever.
// fault.NotFound for a code that nobody has.
func (e *Engine) CodeLink(ctx context.Context, text string) (link string, until time.Time, err error) {
	who, source, err := e.behindCode(ctx, text)
	if err != nil {
		return "", time.Time{}, err
	}
	return e.followLink(ctx, source.campaign.definition, who.Code)
}

// CampaignOfCode is the campaign that a code belongs to, and its channel; fault.NotFound for a code that nobody has.
func (e *Engine) CampaignOfCode(ctx context.Context, text string) (id, channel string, err error) {
	_, source, err := e.behindCode(ctx, text)
	if err != nil {
		return "", "", err
	}
	return source.campaign.id, source.campaign.definition.Channel, nil
}

// behindCode is the participant behind a code, with the campaign that it belongs to.
func (e *Engine) behindCode(ctx context.Context, text string) (PosterOwner, posterSource, error) {
	who, err := e.posterOwner(ctx, text)
	if err != nil {
		return who, posterSource{}, err
	}
	source, err := e.posterSource(ctx, who.campaign)
	return who, source, err
}

// Running is a campaign that what happens on its channel may matter to.
type Running struct {
	ID, Name   string
	Status     campaign.Status // live or paused; ended where credits still wait for their hold
	Definition *campaign.Definition
}

// runningFresh is for how long it is remembered which campaigns run.
const runningFresh = time.Second

// running keeps which campaigns run, those with the latest start first.
type running struct {
	mu   sync.Mutex // also held while they are read, so that it happens once
	all  []Running
	read time.Time
}

// forget has the campaigns read again when somebody asks: one of them was turned here, and whoever comes to it next is
// not to be told what it was.
func (r *running) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = time.Time{}
}

// CampaignsOn are the campaigns on a channel that what happens there may matter to, those with the latest start first.
func (e *Engine) CampaignsOn(ctx context.Context, channel string) ([]Running, error) {
	r := &e.running
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.read) > runningFresh {
		all, err := e.readRunning(ctx)
		if err != nil {
			return nil, err
		}
		r.all, r.read = all, time.Now()
	}
	var found []Running
	for _, c := range r.all {
		if c.Definition.Channel == channel {
			found = append(found, c)
		}
	}
	return found, nil
}

func (e *Engine) readRunning(ctx context.Context) ([]Running, error) {
	var rows []campaignRow // their states are large and no matter here
	err := e.DB.WithContext(ctx).Select("no", "id", "status", "revision").
		Where("status IN ? OR (status = ? AND due_at IS NOT NULL)", []campaign.Status{campaign.Live, campaign.Paused}, campaign.Ended).
		Order("no DESC").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	var all []Running
	for _, row := range rows {
		d, err := e.definition(ctx, row.No, row.Revision)
		if err != nil {
			return nil, err
		}
		if d.Channel != WebChannel {
			all = append(all, Running{ID: row.ID, Name: d.Name, Status: row.Status, Definition: d})
		}
	}
	slices.SortStableFunc(all, func(a, b Running) int { return b.Definition.Schedule.Starts.Compare(a.Definition.Schedule.Starts) })
	return all, nil
}

// Profile keeps a nickname and a picture that came later than the user did; empty ones change nothing. fault.NotFound
// for a user whom the campaign has never seen.
func (e *Engine) Profile(ctx context.Context, id, user, nickname, avatarURL string) error {
	j := Joining{User: user, Nickname: nickname, AvatarURL: avatarURL}
	if err := checkJoining(&j); err != nil {
		return err
	}
	c, err := e.campaign(ctx, id)
	if err != nil {
		return err
	}
	person, err := e.findUser(ctx, c.no, user)
	if err != nil {
		return err
	}
	return e.dress(ctx, person, j)
}
