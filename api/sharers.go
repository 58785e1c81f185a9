package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/singleflight"

	"kfactor/engine"
	"kfactor/internal/fault"
)

// asSharer is the way into a page that is a participant's own: it finds out whose, and sends everybody else away.
func (s *server) asSharer(do func(c echo.Context, v view) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := param(c, "campaign")
		own := s.ownCode(c, id)
		if own == "" {
			var done bool
			var err error
			if own, done, err = s.signedIn(c, id); done || err != nil {
				return err
			}
		}
		visit, err := s.engine.Visit(c.Request().Context(), own)
		if err != nil {
			return err
		}
		v := view{
			Campaign: visit.Campaign, Definition: visit.Definition, Code: own, Own: own, Nickname: visit.Nickname, Me: visit.Participant,
		}
		if v.State = stateOf(v, time.Now()); v.State == "elsewhere" {
			v.State = "" // it takes people in, there
		}
		v.WeChat = v.Campaign.Channel != engine.WebChannel && s.wechat != nil && inWeChat(c)
		c.Response().Header().Set(echo.HeaderCacheControl, "private, no-store")
		return do(c, v)
	}
}

// signedIn is the code of a visitor whom no cookie of the campaign's own names: who they are on its channel. Everybody
// else is sent to where they can sign in or join, and done is true.
func (s *server) signedIn(c echo.Context, id string) (own string, done bool, err error) {
	v, err := s.engine.Campaign(c.Request().Context(), id)
	if fault.KindOf(err) == fault.NotFound {
		return "", true, s.guessed(c, err)
	}
	if err != nil {
		return "", true, err
	}
	if v.Channel != engine.WebChannel && s.userOn(c, v.Channel) == "" {
		return "", true, s.entrance(c, v)
	}
	if own, err = s.ownOn(c, v); err == nil && own == "" {
		return "", true, c.Redirect(http.StatusSeeOther, "/c/"+url.PathEscape(id))
	}
	return own, false, err
}

// ownPage is a participant's own page: poster, link, progress, rewards, friends.
func (s *server) ownPage(c echo.Context, v view) error {
	ctx := c.Request().Context()
	var err error
	if v.Wallet, err = s.engine.Wallet(ctx, v.Campaign.ID, v.Own); err != nil {
		return err
	}
	if v.Friends, err = s.engine.Friends(ctx, v.Campaign.ID, v.Own); err != nil {
		return err
	}
	v.Share = s.shareCard(c, v)
	return s.render(c, http.StatusOK, "me", v)
}

// Of the ranking.
const (
	boardPlaces = 50
	boardFresh  = 5 * time.Second
	mostBoards  = 256 // campaigns whose ranking is kept
)

// boards keeps the rankings of campaigns for some seconds: many look at the same one.
type boards struct {
	mu      sync.Mutex
	kept    map[string]board
	flights singleflight.Group
}

type board struct {
	places []engine.RankView
	read   time.Time
}

// get gives a campaign's ranking. Those who find it stale at the same time have it read once.
func (b *boards) get(ctx context.Context, campaign string, read func(context.Context) ([]engine.RankView, error)) ([]engine.RankView, error) {
	b.mu.Lock()
	kept, ok := b.kept[campaign]
	b.mu.Unlock()
	if ok && time.Since(kept.read) < boardFresh {
		return kept.places, nil
	}
	answer := b.flights.DoChan(campaign, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		places, err := read(ctx)
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.kept == nil || len(b.kept) >= mostBoards {
			b.kept = map[string]board{}
		}
		b.kept[campaign] = board{places, time.Now()}
		return places, nil
	})
	select {
	case a := <-answer:
		places, _ := a.Val.([]engine.RankView)
		return places, a.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ranking is who has the most friends, and where the visitor stands.
func (s *server) ranking(c echo.Context, v view) error {
	ctx := c.Request().Context()
	places, err := s.boards.get(ctx, v.Campaign.ID, func(ctx context.Context) ([]engine.RankView, error) {
		return s.engine.Leaderboard(ctx, v.Campaign.ID, boardPlaces, true)
	})
	if err != nil {
		return err
	}
	for _, p := range places {
		line := boardLine{Rank: int64(p.Rank), Name: masked(p.Nickname), Count: p.Count, Mine: p.Code == v.Own}
		if line.Mine {
			line.Name = p.Nickname
			v.Place = line
		}
		v.Board = append(v.Board, line)
	}
	if v.Place.Rank == 0 {
		standing, err := s.engine.Standing(ctx, v.Campaign.ID, v.Own)
		if err != nil {
			return err
		}
		if standing.Rank > 0 { // nobody's place is above those that are shown, though the board is some seconds old
			v.Place = boardLine{Rank: max(standing.Rank, int64(len(places))+1), Beyond: standing.Beyond, Count: standing.Count, Mine: true}
		}
	}
	return s.render(c, http.StatusOK, "ranking", v)
}

// parcelOf is the reward of the visitor that the address names.
func (s *server) parcelOf(c echo.Context, v view) (parcel, error) {
	none := fault.New(fault.NotFound, "there is no such reward that is sent by post")
	number, err := strconv.ParseInt(param(c, "grant"), 10, 64)
	if err != nil {
		return parcel{}, none
	}
	wallet, err := s.engine.Wallet(c.Request().Context(), v.Campaign.ID, v.Own)
	if err != nil {
		return parcel{}, err
	}
	for _, item := range wallet {
		if item.Grant == number && item.NeedsAddress {
			p := parcel{WalletItem: item}
			if item.Address != nil {
				p.Form = *item.Address
			}
			return p, nil
		}
	}
	return parcel{}, none
}

// addressPage asks where a reward is to be sent.
func (s *server) addressPage(c echo.Context, v view) (err error) {
	if v.Parcel, err = s.parcelOf(c, v); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "address", v)
}

// keepAddress is the form of addressPage.
func (s *server) keepAddress(c echo.Context, v view) error {
	form, err := s.form(c)
	if err != nil {
		return err
	}
	if v.Parcel, err = s.parcelOf(c, v); err != nil {
		return err
	}
	ctx := c.Request().Context()
	if form.Has("erase") {
		err = s.engine.TakeBackAddress(ctx, v.Campaign.ID, v.Own, v.Parcel.Grant)
		return s.addressDone(c, v, err)
	}
	v.Parcel.Form = engine.Address{
		Name: clip(form.Get("name"), 4*engine.MaxAddressName), Phone: clip(form.Get("phone"), 4*engine.MaxAddressPhone),
		Region: clip(form.Get("region"), 4*engine.MaxAddressRegion), Street: clip(form.Get("street"), 4*engine.MaxAddressStreet),
	}
	err = s.engine.PutAddress(ctx, v.Campaign.ID, v.Own, v.Parcel.Grant, v.Parcel.Form)
	if said, ok := errors.AsType[*fault.Error](err); ok && said.Kind == fault.Invalid {
		v.Parcel.Wrong = said.Fields
		return s.render(c, http.StatusUnprocessableEntity, "address", v)
	}
	return s.addressDone(c, v, err)
}

// addressDone answers addressPage's form: the reward takes no address any more, or the address is as they wished.
func (s *server) addressDone(c echo.Context, v view, err error) error {
	if fault.KindOf(err) == fault.Conflict {
		v.Parcel.Sendable = false
		return s.render(c, http.StatusConflict, "address", v)
	}
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/me/"+url.PathEscape(v.Campaign.ID)+"#rewards")
}
