package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/internal/fault"
)

// maxKind is the most characters of what stands before a name: its kind and a colon.
const maxKind = 16

var errUser = fault.New(fault.Invalid, "user must have 1 to %d characters without control characters", event.MaxUser)

// hasKind says whether a user is called by a name of some kind, such as member:17, which the campaign's channel reads.
func hasKind(user string) bool { return strings.IndexByte(user, ':') >= 0 }

// mostSaid is the most characters of a user as sent.
func mostSaid(user string) int {
	if hasKind(user) {
		return event.MaxUser + maxKind
	}
	return event.MaxUser
}

// naming is an event whose user is called by a name.
type naming struct {
	draft *draft
	index int // in the batch
}

// nameUsers gives drafts the users that names stand for. Those of nobody leave the delivery and are rejected.
func (e *Engine) nameUsers(ctx context.Context, events []Incoming, named []naming, d *delivery, receipt *Receipt) error {
	by := map[string][]naming{} // by channel
	definitions := map[string]*campaign.Definition{}
	for _, n := range named {
		c, err := e.campaign(ctx, events[n.index].Campaign)
		if err != nil {
			return err
		}
		channel := c.definition.Channel
		by[channel], definitions[channel] = append(by[channel], n), c.definition
	}
	gone := map[*draft]bool{}
	for channel, part := range by {
		names := make([]string, len(part))
		for i, n := range part {
			names[i] = n.draft.user
		}
		all, err := e.users(ctx, definitions[channel], names)
		if err != nil {
			return err
		}
		for i, n := range part {
			if all[i].Err == nil {
				n.draft.user = all[i].User
				continue
			}
			said := all[i].Err.Error()
			if fault.KindOf(all[i].Err) == fault.NotFound {
				said += "; then send the event again, which is safe with the same id"
			}
			gone[n.draft] = true
			receipt.Rejected = append(receipt.Rejected, Rejection{Index: n.index, ID: n.draft.ID, Error: said})
		}
	}
	if len(gone) > 0 {
		d.drafts = slices.DeleteFunc(d.drafts, func(one *draft) bool { return gone[one] })
		slices.SortFunc(receipt.Rejected, func(a, b Rejection) int { return cmp.Compare(a.Index, b.Index) })
	}
	return nil
}

// joinerNamed is the user whom a name stands for, of somebody who joins.
func (e *Engine) joinerNamed(ctx context.Context, d *campaign.Definition, name string) (string, error) {
	all, err := e.users(ctx, d, []string{name})
	if err != nil {
		return "", err
	}
	if err := all[0].Err; err != nil {
		return "", fault.Fields("nobody joined", fault.Field{Field: "user", Message: err.Error()})
	}
	return all[0].User, nil
}

// users are those whom names stand for on a campaign's channel. An error says that nothing can be told now.
func (e *Engine) users(ctx context.Context, d *campaign.Definition, names []string) ([]Who, error) {
	c, err := e.channel(d)
	if err != nil { // it was configured once
		all := make([]Who, len(names))
		for i := range all {
			all[i].Err = err
		}
		return all, nil
	}
	all, err := c.Users(ctx, names)
	if err == nil && len(all) != len(names) {
		err = fmt.Errorf("channel %s tells %d of %d users", d.Channel, len(all), len(names))
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "who the users are cannot be looked up now; send the same again in a moment")
	}
	for i := range all {
		if all[i].Err == nil && !plainText(all[i].User, event.MaxUser) {
			all[i].Err = errUser
		}
	}
	return all, nil
}
