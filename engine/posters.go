package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

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

// maxPresses bounds compiled posters; one of 1080 by 1920 pixels takes about 13 MB, and as much again once it has printed PNG.
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

// Poster gives a participant's poster: a tag that changes when the picture would, and a function that prints it and
// appends the file to dst. variant "" is the participant's own; format "" is the campaign's.
func (e *Engine) Poster(ctx context.Context, text, variant, format string) (etag string, print func(dst []byte) ([]byte, error), err error) {
	who, source, err := e.behindCode(ctx, text)
	if err != nil {
		return "", nil, err
	}
	definition := source.campaign.definition
	if variant == "" {
		variant = who.Variant
	} else if !hasVariant(definition, variant) {
		return "", nil, fault.New(fault.NotFound, "this poster has no variant %q", cutID(variant))
	}
	link, err := e.printedLink(ctx, definition, who.Code)
	if err != nil {
		return "", nil, err
	}
	person := poster.Person{Code: who.Code, Link: link, Nickname: who.Nickname}
	format = cmp.Or(format, definition.Poster.Format)
	if who.AvatarURL != "" {
		// Without the picture the poster shows an initial: better than none, or than a late one.
		if person.Avatar, err = e.Avatars.Get(ctx, who.AvatarURL); err != nil {
			e.Log.Info("avatar", "campaign", source.campaign.id, "err", "it could not be fetched")
		}
	}
	key := source.key(variant)
	tag := sha256.Sum256(fmt.Appendf(nil, "%+v\n%s\n%s\n%q\n%x", key, format, person.Link, person.Nickname, sha256.Sum256(person.Avatar)))
	return hex.EncodeToString(tag[:16]), func(dst []byte) ([]byte, error) {
		began := time.Now()
		press, err := e.press(source, variant)
		if err != nil {
			// It is the campaign's file that is wrong, nothing that a visitor could mend.
			return dst, fmt.Errorf("compile the poster of campaign %s: %v", source.campaign.id, err) //nolint:errorlint // its kind must not show
		}
		if dst, err = press.Append(dst, format, person); err != nil {
			return dst, err
		}
		e.Metrics.Poster(format, time.Since(began))
		return dst, nil
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

// assets reads the files of a campaign.
func (e *Engine) assets(b posterSource) poster.Assets {
	return func(name string) ([]byte, error) {
		sum, ok := b.files[name]
		if !ok {
			return nil, fault.New(fault.NotFound, "the file %s has not been uploaded", name)
		}
		body, err := os.ReadFile(e.assetPath(sum))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the file %s is gone from the data folder", name)
		}
		return body, err
	}
}

// legible says whether phones will read the posters on an posterSource.
func (e *Engine) legible(b posterSource) error {
	return Legible(b.campaign.definition, e.linkBytes(b.campaign.definition), e.assets(b))
}

// printable says whether all posters of a campaign can be printed with the files that are there, and be read by phones.
func (e *Engine) printable(ctx context.Context, c known) error {
	variants := []string{""}
	for _, v := range c.definition.Poster.Variants {
		variants = append(variants, v.Name)
	}
	source, err := e.readPosterSource(ctx, c)
	if err != nil {
		return err
	}
	for _, v := range variants {
		if _, err := e.press(source, v); err != nil {
			return err
		}
	}
	return e.legible(source)
}

// posterSource is what the posters of a campaign need beside the person, as it was a moment ago.
type posterSource struct {
	campaign known
	files    map[string]string // hash of each file, by its name
	sum      string            // hash over them
}

func (b posterSource) key(variant string) pressKey {
	return pressKey{b.campaign.no, b.campaign.revision, variant, b.sum}
}

// posterSources keeps what posters need as long as a catalog's entry is fresh.
type posterSources struct {
	mu      sync.Mutex
	byNo    map[int64]posterSource
	flights singleflight.Group
}

// forget has the campaign looked at again: this process has changed it.
func (b *posterSources) forget(no int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byNo, no)
}

// posterSource is a campaign's. Those who find it stale at the same time read it once.
func (e *Engine) posterSource(ctx context.Context, no int64) (posterSource, error) {
	b := &e.posterSources
	b.mu.Lock()
	kept, ok := b.byNo[no]
	b.mu.Unlock()
	if ok && time.Since(kept.campaign.checked) < catalogFresh {
		return kept, nil
	}
	answer := b.flights.DoChan(strconv.FormatInt(no, 10), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gatherTimeout)
		defer cancel()
		var row campaignRow // its state is large and no matter here
		if err := e.DB.WithContext(ctx).Select("no", "id", "revision").Where("no = ?", no).Take(&row).Error; err != nil {
			return posterSource{}, err
		}
		c, err := e.remember(ctx, row)
		if err != nil {
			return posterSource{}, err
		}
		read, err := e.readPosterSource(ctx, c)
		if err != nil {
			return posterSource{}, err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.byNo == nil || len(b.byNo) >= catalogSize {
			b.byNo = map[int64]posterSource{}
		}
		b.byNo[no] = read
		return read, nil
	})
	select {
	case a := <-answer:
		read, _ := a.Val.(posterSource)
		return read, a.Err
	case <-ctx.Done():
		return posterSource{}, ctx.Err()
	}
}

// readPosterSource reads which files a campaign has.
func (e *Engine) readPosterSource(ctx context.Context, c known) (posterSource, error) {
	var rows []assetRow
	if err := e.DB.WithContext(ctx).Where("campaign = ?", c.no).Order("name").Find(&rows).Error; err != nil {
		return posterSource{}, err
	}
	b, sums := posterSource{campaign: c, files: make(map[string]string, len(rows))}, sha256.New()
	for _, f := range rows {
		b.files[f.Name] = f.SHA256
		fmt.Fprintf(sums, "%s %s\n", f.Name, f.SHA256)
	}
	b.sum = hex.EncodeToString(sums.Sum(nil))
	return b, nil
}

// press compiles a poster once and keeps it. The files are those that the key names, whatever was uploaded since.
func (e *Engine) press(b posterSource, variant string) (*poster.Press, error) {
	key := b.key(variant)
	entry := e.presses.entry(key)
	entry.once.Do(func() {
		e.presses.decoding.Lock()
		defer e.presses.decoding.Unlock()
		entry.press, entry.err = poster.Compile(PosterTemplate(b.campaign.definition, variant), e.assets(b))
	})
	if entry.err != nil {
		e.presses.forget(key) // the file may be there next time
	}
	return entry.press, entry.err
}
