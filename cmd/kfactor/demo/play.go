package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"kfactor/channel/wechat/twin"
	"kfactor/cmd/kfactor/remote"
)

// The sample campaign, the file it names, and what its account says by itself.
var (
	//go:embed campaign.yaml
	campaignFile []byte
	//go:embed autumn.jpg
	background []byte

	//go:embed channels.yaml
	ChannelsFile []byte
)

const (
	CampaignID   = "autumn-share" // the sample campaign's
	Channel      = "main"         // the account's
	ChannelsName = "channels.yaml"
)

// Notices are the notices that the account of channels.yaml sends.
var Notices = []twin.Template{{ID: noticeID, Title: "奖励到账提醒", Content: "奖励说明：{{thing1.DATA}}\n到账时间：{{time2.DATA}}"}}

const noticeID = "autumn-share-reward-notice-0000000000000000"

const (
	campaignPath   = "/v1/campaigns/" + CampaignID
	backgroundName = "autumn.jpg"
	callTime       = 30 * time.Second
)

// House is what a play is played in.
type House struct {
	Address  string // of the server, without a slash at the end
	OwnerKey string // may do all
	ShopKey  string // may only bring people and events
	Twin     *twin.Twin
}

// Play is a story on its way against a server.
type Play struct {
	story   Story
	address string
	team    *remote.Server
	shop    *remote.Server
	twin    *twin.Twin
	begins  time.Time // by the twin's clock: midnight of the first day
	day     int       // from 0

	people  []*twin.Fan // by fan
	numbers map[string]int
	journal journal

	mu   sync.Mutex
	seen map[string]string // by user: the code that they followed through, as it was read from a friend's poster

	star  int                      // whose phone and page show most
	shown atomic.Pointer[twin.Fan] // the star, once they have their poster

	Joined   atomic.Int64 // fans who have their poster
	Pictures atomic.Int64 // posters that were looked at and read
	Pages    atomic.Int64 // of their own that fans opened
	Today    atomic.Int64 // the day that is being played, Unix seconds
}

// New is a play of the story in a house. The twin's clock is stopped and set so that the story ends today.
func New(s Story, h House) (*Play, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}, Timeout: callTime}
	team, err := remote.New(h.Address, h.OwnerKey, client)
	if err != nil {
		return nil, err
	}
	shop, err := remote.New(h.Address, h.ShopKey, client)
	if err != nil {
		return nil, err
	}
	p := &Play{
		story: s, address: h.Address, team: team, shop: shop, twin: h.Twin, people: make([]*twin.Fan, len(s.fans)), numbers: map[string]int{},
		journal: journal{codes: map[string]string{}, credited: map[string]string{}}, seen: map[string]string{}, star: s.star(),
	}
	y, m, d := time.Now().In(china).Date()
	p.begins = time.Date(y, m, d-s.days()-1, 0, 0, 0, 0, china)
	p.twin.Clock().Stop()
	p.at(0, 9, 0)
	for i, f := range s.fans {
		p.people[i] = p.newcomer(f.name)
		p.numbers[p.people[i].OpenID] = i
	}
	return p, nil
}

var china = time.FixedZone("China", 8*60*60)

// newcomer is somebody with a phone of their own, and so an address of their own.
func (p *Play) newcomer(name string) *twin.Fan {
	f := p.twin.AddFan(name)
	n := len(p.numbers)
	browser := f.Browser()
	browser.Transport = &network{browser.Transport, fmt.Sprintf("10.%d.%d.%d", n>>16&0xff, n>>8&0xff, n&0xff)}
	return f
}

// network lets a browser's calls come from an address of its own, as a proxy tells it.
type network struct {
	next    http.RoundTripper
	address string
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	sent.Header.Set("X-Forwarded-For", n.address)
	return n.next.RoundTrip(sent)
}

// at moves the clock to a time of the day that is being played.
func (p *Play) at(day, hour, minute int) {
	p.day = day
	to := p.begins.AddDate(0, 0, day).Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
	p.twin.Clock().Set(to)
	p.Today.Store(to.Unix())
}

// Open puts the sample campaign on the server and launches it. Some follow the account before that.
func (p *Play) Open(ctx context.Context) error {
	if _, err := p.team.CreateCampaign(ctx, campaignFile, "campaign.yaml", ""); err != nil {
		return fmt.Errorf("create the campaign: %w", err)
	}
	if _, err := p.team.PutAsset(ctx, CampaignID, backgroundName, background); err != nil {
		return fmt.Errorf("upload the background: %w", err)
	}
	var coupons strings.Builder
	for i := range couponStock {
		fmt.Fprintf(&coupons, "AUTUMN-%04d\n", i+1)
	}
	path := campaignPath + "/rewards/coupon/codes"
	if err := p.team.Do(ctx, http.MethodPost, path, "text/csv", []byte(coupons.String()), nil); err != nil {
		return fmt.Errorf("import coupon codes: %w", err)
	}
	if err := each(ctx, p.story.fans, p.knewBefore); err != nil {
		return err
	}
	p.at(0, 12, 0)
	if err := each(ctx, p.story.fans, p.leftBefore); err != nil {
		return err
	}
	p.at(0, 18, 0)
	if _, err := p.team.Turn(ctx, CampaignID, "launch", ""); err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	return nil
}

// windowDays are skipped after the first generation of a town: those of it who asked for their poster by writing could
// be told of each single friend for two days, and how much of that is said in one message depends on who is quicker.
const windowDays = 2

// act is something that a fan may do.
type act func(context.Context, fan) error

// Run lets the fans live. Of a town one generation comes each day. Within one hour they act as quickly as the server
// takes them, in any order; from hour to hour everybody waits for the server to come to rest, so that the end is always
// the same.
func (p *Play) Run(ctx context.Context) error {
	day := 0
	for _, town := range p.story.towns {
		var before []fan // the generation that invited today's
		for depth, today := range append(generations(town), nil) {
			if day++; depth == 1 {
				day += windowDays
			}
			p.twin.DuplicatePushes(len(today)/5 + 1) // which must change nothing
			hours := []struct {
				hour, minute int
				who          []fan
				does         act
			}{
				{9, 0, today, p.arrive},
				{9, 30, today, p.greeted},
				{10, 0, today, p.wander},
				{11, 0, today, p.openPage},
				{11, 30, today, p.renew},
				{12, 0, today, p.renewed},
				{14, 0, before, p.check},
				{16, 0, today, p.leave},
				{18, 0, today, p.comeBack},
				{20, 0, before, p.ask},
				{20, 30, before, p.talk},
				{21, 0, before, p.goShopping},
			}
			for _, h := range hours {
				if len(h.who) == 0 {
					continue
				}
				p.at(day, h.hour, h.minute)
				if err := each(ctx, h.who, h.does); err != nil {
					return err
				}
				if err := p.rest(ctx); err != nil {
					return err
				}
			}
			before = today
		}
		p.at(day, 23, 0)
		if err := each(ctx, town, p.refund); err != nil {
			return err
		}
		if err := p.rest(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Star is somebody whose phone and page are worth a look, nil before they have their poster.
func (p *Play) Star() *twin.Fan { return p.shown.Load() }

// each lets all fans act, some at the same time.
func each(ctx context.Context, fans []fan, does act) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4 * runtime.GOMAXPROCS(0))
	for _, f := range fans {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := does(ctx, f); err != nil {
				return fmt.Errorf("fan %d: %w", f.number, err)
			}
			return nil
		})
	}
	return group.Wait()
}

var errExpired = errors.New("the code on the poster has run out")

var errNoPoster = errors.New("there is no poster in the chat")
