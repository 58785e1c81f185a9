package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"kfactor/campaign"
	"kfactor/internal/fault"
	"kfactor/poster"
)

// Preflight reads a definition and checks all of it, the poster's geometry included. The definition is whole only when
// there are no problems.
func Preflight(source []byte, filename string) (*campaign.Definition, []campaign.Problem) {
	d, where, problems := campaign.Parse(source, filename)
	if len(problems) > 0 {
		return d, problems
	}
	check := func(variant, at string) {
		for _, f := range poster.Check(PosterTemplate(d, variant)) {
			if at != "poster" && strings.HasPrefix(f.Field, "size") {
				continue // said once, for the main poster
			}
			field := at + "." + f.Field
			line, column := where.Position(field)
			problems = append(problems, campaign.Problem{File: filename, Line: line, Column: column, Field: field, Message: f.Message})
		}
	}
	check("", "poster")
	for _, v := range d.Poster.Variants {
		if v.Layers != nil {
			check(v.Name, "poster.variants."+v.Name)
		}
	}
	return d, problems
}

// PosterTemplate is the poster of a definition's variant, as the poster room reads it. An unknown variant is the main one.
func PosterTemplate(d *campaign.Definition, variant string) poster.Template {
	p := d.Poster
	background, layers := p.Background, p.Layers
	for _, v := range p.Variants {
		if v.Name == variant {
			background = cmp.Or(v.Background, background)
			if v.Layers != nil {
				layers = v.Layers
			}
		}
	}
	t := poster.Template{Width: p.Size[0], Height: p.Size[1], Background: background, Format: p.Format, Quality: p.Quality}
	for _, l := range layers {
		var layer poster.Layer
		switch {
		case l.Text != nil:
			text := poster.Text(*l.Text)
			layer.Text = &text
		case l.QR != nil:
			qr := poster.QR(*l.QR)
			layer.QR = &qr
		case l.Avatar != nil:
			avatar := poster.Avatar(*l.Avatar)
			layer.Avatar = &avatar
		case l.Image != nil:
			image := poster.Image(*l.Image)
			layer.Image = &image
		case l.Rect != nil:
			rect := poster.Rect(*l.Rect)
			layer.Rect = &rect
		}
		t.Layers = append(t.Layers, layer)
	}
	return t
}

// presses keeps compiled posters, the least lately used dropped first.
type presses struct {
	mu   sync.Mutex
	per  map[pressKey]*pressEntry
	turn int64

	decoding sync.Mutex // held while large pictures are decoded, so that their memory is needed once
}

type pressKey struct {
	campaign int64
	revision int
	variant  string
	files    string // hash over the files' hashes: a file may be replaced within a revision
}

type pressEntry struct {
	once  sync.Once
	press *poster.Press
	err   error
	used  int64
}

// Bounds on avatars fetched from the addresses that channels give.
const (
	maxAvatar       = 5 << 20  // bytes of one
	maxAvatarsCache = 64 << 20 // bytes kept
)

// maxPresses bounds compiled posters; one of 1080 by 1920 pixels takes about 8 MB.
const maxPresses = 24

func (p *presses) entry(key pressKey) *pressEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.per == nil {
		p.per = map[pressKey]*pressEntry{}
	}
	p.turn++
	entry := p.per[key]
	if entry == nil {
		for k := range p.per { // what an earlier revision or an earlier file looked like is not asked for again
			if k.campaign == key.campaign && k.variant == key.variant {
				delete(p.per, k)
			}
		}
		if len(p.per) >= maxPresses {
			var oldest pressKey
			least := p.turn
			for k, other := range p.per {
				if other.used < least {
					oldest, least = k, other.used
				}
			}
			delete(p.per, oldest)
		}
		entry = &pressEntry{}
		p.per[key] = entry
	}
	entry.used = p.turn
	return entry
}

func (p *presses) forget(key pressKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.per, key)
}

// Poster gives a participant's poster: a tag that changes when the picture would, and a function that prints it.
// variant "" is the participant's own; format "" is the campaign's.
func (e *Engine) Poster(ctx context.Context, text, variant, format string) (etag string, render func(io.Writer) error, err error) {
	p, err := e.findCode(ctx, text)
	if err != nil {
		return "", nil, err
	}
	row, err := e.campaignByNo(ctx, p.Campaign)
	if err != nil {
		return "", nil, err
	}
	c, err := e.remember(ctx, row)
	if err != nil {
		return "", nil, err
	}
	if variant == "" {
		variant = p.Facts.Variant
	} else if !hasVariant(c.definition, variant) {
		return "", nil, fault.New(fault.NotFound, "this poster has no variant %q", cutID(variant))
	}
	files, err := e.fileSums(ctx, c.no)
	if err != nil {
		return "", nil, err
	}
	key := pressKey{c.no, c.revision, variant, files}
	known, err := e.looks(ctx, []int64{p.Person})
	if err != nil {
		return "", nil, err
	}
	person := poster.Person{Code: p.Code, Link: e.InviteLink(p.Code), Nickname: known[p.Person].nickname}
	format = cmp.Or(format, c.definition.Poster.Format)
	if avatar := known[p.Person].avatar; avatar != "" {
		// Without the picture the poster shows an initial: better than none, or than a late one.
		if person.Avatar, err = e.Avatars.Get(ctx, avatar); err != nil {
			e.Log.Info("avatar", "campaign", c.id, "err", "it could not be fetched")
		}
	}

	tag := sha256.Sum256([]byte(fmt.Sprintf("%+v\n%s\n%s\n%q\n%x", key, format, person.Link, person.Nickname, sha256.Sum256(person.Avatar))))
	return hex.EncodeToString(tag[:16]), func(w io.Writer) error {
		began := time.Now()
		press, err := e.press(ctx, c, key)
		if err != nil {
			// It is the campaign's file that is wrong, nothing that a visitor could mend.
			return fmt.Errorf("compile the poster of campaign %s: %v", c.id, err) //nolint:errorlint // its kind must not show
		}
		if err := press.Print(w, format, person); err != nil {
			return err
		}
		e.Metrics.Poster(format, time.Since(began))
		return nil
	}, nil
}

func hasVariant(d *campaign.Definition, name string) bool {
	if name == campaign.MainVariant {
		return true
	}
	for _, v := range d.Poster.Variants {
		if v.Name == name {
			return true
		}
	}
	return false
}

// checkAsset checks an uploaded file, one at a time: a picture takes much memory while it is decoded.
func (e *Engine) checkAsset(name string, body []byte) error {
	e.presses.decoding.Lock()
	defer e.presses.decoding.Unlock()
	return poster.CheckAsset(name, body)
}

// printable says whether all posters of a campaign can be printed with the files that are there.
func (e *Engine) printable(ctx context.Context, c known) error {
	variants := []string{""}
	for _, v := range c.definition.Poster.Variants {
		variants = append(variants, v.Name)
	}
	files, err := e.fileSums(ctx, c.no)
	if err != nil {
		return err
	}
	for _, v := range variants {
		if _, err := e.press(ctx, c, pressKey{c.no, c.revision, v, files}); err != nil {
			return err
		}
	}
	return nil
}

// fileSums is a hash over all files of a campaign.
func (e *Engine) fileSums(ctx context.Context, no int64) (string, error) {
	var files []assetRow
	if err := e.DB.WithContext(ctx).Where("campaign = ?", no).Order("name").Find(&files).Error; err != nil {
		return "", err
	}
	sums := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sums, "%s %s\n", f.Name, f.SHA256)
	}
	return hex.EncodeToString(sums.Sum(nil)), nil
}

// press compiles a poster once and keeps it.
func (e *Engine) press(ctx context.Context, c known, key pressKey) (*poster.Press, error) {
	entry := e.presses.entry(key)
	entry.once.Do(func() {
		e.presses.decoding.Lock()
		defer e.presses.decoding.Unlock()
		entry.press, entry.err = poster.Compile(PosterTemplate(c.definition, key.variant), func(name string) ([]byte, error) {
			return e.asset(context.WithoutCancel(ctx), c.no, name)
		})
	})
	if entry.err != nil {
		e.presses.forget(key) // the file may be there next time
	}
	return entry.press, entry.err
}
