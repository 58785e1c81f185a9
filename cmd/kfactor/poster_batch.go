package main

import (
	"archive/zip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"kfactor/engine"
	"kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/poster"
)

// Limits on a list of people.
const (
	batchBytes    = 64 << 20
	batchLines    = 200_000
	batchProblems = 100 // told one by one
)

// batch is one run of `kfactor poster batch`.
type batch struct {
	*app
	campaign, out, list, format string
	force                       bool
}

// batchItem is one poster of a batch.
type batchItem struct {
	engine.PosterOwner
	line   int    // in the list; 0 without one
	avatar string // a file, where the list names one
}

func (a *app) posterBatchCommand() *cobra.Command {
	b := batch{app: a}
	cmd := &cobra.Command{
		Use: "batch CAMPAIGN -o DIR|ZIP", Short: "Print the posters of many participants, for a printing house",
		Long: "Prints each participant's own poster, CODE.jpg or CODE.png, into a folder or into a ZIP file. Without --csv those of\n" +
			"all participants. The list has a header and a line for each person: code or user says who it is; nickname and avatar\n" +
			"(a file beside the list, or an address) replace what is known where they are not empty. A list with mistakes prints\n" +
			"nothing and all of them are told.\n\n" +
			"Each file appears whole or not at all. In a folder posters that are there already are kept, so that a run that was cut\n" +
			"off goes on where it ended; a ZIP file that is there is not overwritten. --force prints everything anew.",
		Example: "  kfactor poster batch spring-2026 -o posters.zip --csv people.csv\n  kfactor poster batch spring-2026 -o posters/",
		Args:    takes("CAMPAIGN"),
		RunE: a.do(a.withEngine(func(ctx context.Context, e *engine.Engine, args []string) error {
			b.campaign = args[0]
			return b.run(ctx, e)
		})),
	}
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if _, ok := pictureFormats[b.format]; !ok {
			return usage("--format: %q is not a format; write jpg or png", b.format)
		}
		return nil
	}
	flags := cmd.Flags()
	flags.StringVarP(&b.out, "output", "o", "", "folder, or file ending in .zip, to write")
	flags.StringVar(&b.list, "csv", "", "list of people (default: all participants)")
	flags.StringVar(&b.format, "format", "", "jpg or png (default: the campaign's own)")
	flags.BoolVar(&b.force, "force", false, "overwrite what is there")
	must(cmd.MarkFlagRequired("output"))
	return cmd
}

// pictureFormats are what a poster's format is called on the command line.
var pictureFormats = map[string]string{"": "", "jpg": "jpeg", "jpeg": "jpeg", "png": "png"}

func (b *batch) run(ctx context.Context, e *engine.Engine) error {
	printer, err := e.Printer(ctx, b.campaign)
	if err != nil {
		return err
	}
	format := pictureFormats[b.format]
	if format == "" {
		format = printer.Format()
	}
	ending := map[string]string{"jpeg": ".jpg", "png": ".png"}[format]
	people, err := b.people(ctx, e)
	if err != nil {
		return err
	}
	rack, err := b.open(ending)
	if err != nil {
		return err
	}
	known := len(people)
	people = slices.DeleteFunc(people, func(s batchItem) bool { return rack.has(s.Code) })
	tally := &tally{all: len(people), began: time.Now()}
	err = b.print(ctx, e, printer, format, people, rack, tally)
	if err = errors.Join(err, rack.close(err == nil)); err != nil {
		return err
	}
	said := fmt.Sprintf("%s printed into %s", counted(tally.printed, "poster"), b.out)
	if kept := known - len(people); kept > 0 {
		said += fmt.Sprintf(", %d there already", kept)
	}
	if tally.bare > 0 {
		said += fmt.Sprintf(", %d with an initial since the picture could not be fetched", tally.bare)
	}
	fmt.Fprintln(b.stdout, said)
	if tally.failed > 0 {
		return fmt.Errorf("%s not printed", counted(tally.failed, "poster"))
	}
	return nil
}

// print prints all posters, as many at a time as there are processors. Pictures are fetched ahead, more at a time.
func (b *batch) print(ctx context.Context, e *engine.Engine, printer *engine.Printer, format string, people []batchItem, rack rack, tally *tally) error {
	stop := b.progress(tally)
	defer stop()
	desks := make(chan []byte, runtime.GOMAXPROCS(0)) // a buffer for each poster being printed
	for range cap(desks) {
		desks <- nil
	}
	outer := ctx
	work, ctx := errgroup.WithContext(outer)
	work.SetLimit(8 + 2*cap(desks))
	for i := range people {
		if ctx.Err() != nil {
			break
		}
		work.Go(func() error {
			s := &people[i]
			avatar, err := b.avatar(ctx, e, s, tally)
			if err != nil {
				tally.fail(func() { fmt.Fprintf(b.stderr, "%s: %s\n", b.where(s), oneLine(plainly(err))) })
				return ctx.Err()
			}
			desk := <-desks
			defer func() { desks <- desk }()
			if err := ctx.Err(); err != nil {
				return err
			}
			desk, err = printer.Append(ctx, desk[:0], format, s.PosterOwner, avatar)
			if err != nil {
				return fmt.Errorf("poster %s: %w", s.Code, err)
			}
			if err := rack.put(s.Code, desk); err != nil {
				return err
			}
			tally.add()
			return nil
		})
	}
	return errors.Join(work.Wait(), outer.Err())
}

// where is what a message about a poster begins with.
func (b *batch) where(s *batchItem) string {
	if s.line == 0 {
		return s.Code
	}
	return fmt.Sprintf("%s:%d", b.list, s.line)
}

// avatar is somebody's picture. One that the list names has to be there; one that somebody came with is made up for.
func (b *batch) avatar(ctx context.Context, e *engine.Engine, s *batchItem, tally *tally) ([]byte, error) {
	switch {
	case s.avatar == "" && s.AvatarURL == "":
		return nil, nil
	case s.avatar == "":
		body, err := e.Avatars.Get(ctx, s.AvatarURL)
		if err != nil && ctx.Err() == nil {
			tally.miss()
			return nil, nil
		}
		return body, ctx.Err()
	}
	var body []byte
	var err error
	if isAddress(s.avatar) {
		body, err = e.Avatars.Get(ctx, s.avatar)
	} else {
		body, err = readBounded(b.beside(s.avatar), poster.AvatarLimits.Bytes)
	}
	if err == nil {
		_, err = poster.DecodeImage(body, poster.AvatarLimits)
	}
	if err != nil {
		return nil, fmt.Errorf("the avatar %s: %w", s.avatar, err)
	}
	return body, nil
}

func isAddress(avatar string) bool {
	u, err := url.Parse(avatar)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// beside is a file named in the list, which may be moved together with them.
func (b *batch) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(b.list), name)
}

// people are those whose posters are printed.
func (b *batch) people(ctx context.Context, e *engine.Engine) ([]batchItem, error) {
	if b.list != "" {
		return b.listed(ctx, e)
	}
	var all []batchItem
	err := e.EachPosterOwner(ctx, b.campaign, func(some []engine.PosterOwner) error {
		for _, s := range some {
			all = append(all, batchItem{PosterOwner: s})
		}
		return nil
	})
	return all, err
}

// listing is a line of the list.
type listing struct {
	line                         int
	code, user, nickname, avatar string
}

// listed are those of the list. Everything that is wrong in it is told before anything is printed.
func (b *batch) listed(ctx context.Context, e *engine.Engine) ([]batchItem, error) {
	body, err := readBounded(b.list, batchBytes)
	if err != nil {
		return nil, err
	}
	lines, wrong := readPeople(body)
	var codes, users []string
	for _, l := range lines {
		if l.code != "" {
			codes = append(codes, l.code)
		} else {
			users = append(users, l.user)
		}
	}
	byCode, err := e.PosterOwnersByCode(ctx, b.campaign, codes)
	if err != nil {
		return nil, err
	}
	byUser, err := e.PosterOwnersByUser(ctx, b.campaign, users)
	if err != nil {
		return nil, err
	}
	all, first := make([]batchItem, 0, len(lines)), map[string]int{}
	for _, l := range lines {
		s, ok := byCode[l.code]
		if l.code == "" {
			s, ok = byUser[l.user]
		}
		if !ok {
			wrong = append(wrong, mistake{l.line, fmt.Sprintf("%q did not join campaign %s", l.code+l.user, b.campaign)})
			continue
		}
		if before, twice := first[s.Code]; twice {
			wrong = append(wrong, mistake{l.line, fmt.Sprintf("%s was in line %d already; leave one of them out", s.Code, before)})
			continue
		}
		first[s.Code] = l.line
		if l.avatar != "" && !isAddress(l.avatar) {
			if info, err := os.Stat(b.beside(l.avatar)); err != nil || !info.Mode().IsRegular() {
				wrong = append(wrong, mistake{l.line, fmt.Sprintf("there is no picture %s; write a file beside the list, or an http or https address", b.beside(l.avatar))})
				continue
			}
		}
		if l.nickname != "" {
			s.Nickname = l.nickname
		}
		all = append(all, batchItem{PosterOwner: s, line: l.line, avatar: l.avatar})
	}
	return all, b.tell(wrong)
}

// mistake is something wrong in a list.
type mistake struct {
	line int
	what string
}

// tell prints what is wrong in the order of the list.
func (b *batch) tell(wrong []mistake) error {
	slices.SortStableFunc(wrong, func(a, b mistake) int { return a.line - b.line })
	for i, m := range wrong {
		if i == batchProblems {
			fmt.Fprintf(b.stderr, "%s: and %d more\n", b.list, len(wrong)-i)
			break
		}
		fmt.Fprintf(b.stderr, "%s:%d: %s\n", b.list, m.line, m.what)
	}
	if len(wrong) > 0 {
		return errReported
	}
	return nil
}

// readPeople reads a list: comma or semicolon, with or without a byte order mark.
func readPeople(body []byte) (lines []listing, wrong []mistake) {
	text := strings.TrimPrefix(string(body), "\ufeff")
	if !utf8.ValidString(text) { // names would be printed as whatever they look like
		return nil, []mistake{{1, "the list is not in UTF-8; save it again as CSV UTF-8"}}
	}
	head, _, _ := strings.Cut(text, "\n")
	r := csv.NewReader(strings.NewReader(text))
	if !strings.Contains(head, ",") && strings.Contains(head, ";") { // as spreadsheets write it in much of Europe
		r.Comma = ';'
	}
	r.FieldsPerRecord = -1
	names, err := r.Read()
	if err != nil {
		return nil, []mistake{{1, "the list begins with a header: code or user, and nickname and avatar where they are known"}}
	}
	column := map[string]int{}
	for i, n := range names {
		n = strings.ToLower(strings.TrimSpace(n))
		if !slices.Contains([]string{"code", "user", "nickname", "avatar"}, n) {
			wrong = append(wrong, mistake{1, fmt.Sprintf("%q is no column; there are code, user, nickname and avatar", n)})
		} else if _, twice := column[n]; twice {
			wrong = append(wrong, mistake{1, fmt.Sprintf("the column %s is there twice", n)})
		}
		column[n] = i
	}
	_, hasCode := column["code"]
	_, hasUser := column["user"]
	if !hasCode && !hasUser {
		wrong = append(wrong, mistake{1, "one of the columns code and user has to be there"})
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return lines, wrong
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			return lines, append(wrong, mistake{bad.Line, fmt.Sprintf("the list cannot be read on from here: %v", bad.Err)})
		} else if err != nil {
			return lines, append(wrong, mistake{0, err.Error()})
		}
		at, _ := r.FieldPos(0)
		if len(lines) >= batchLines {
			return lines, append(wrong, mistake{at, fmt.Sprintf("a list has at most %d people; split it", batchLines)})
		}
		l, what := readListing(record, names, column)
		if what != "" {
			wrong = append(wrong, mistake{at, what})
			continue
		}
		l.line = at
		lines = append(lines, l)
	}
}

// readListing reads one person, or says what is wrong with them.
func readListing(record, names []string, column map[string]int) (l listing, wrong string) {
	if len(record) != len(names) {
		return l, fmt.Sprintf("there are %d fields, the header has %d", len(record), len(names))
	}
	field := func(name string) string {
		if i, ok := column[name]; ok {
			return strings.TrimSpace(record[i])
		}
		return ""
	}
	l = listing{code: field("code"), user: field("user"), nickname: field("nickname"), avatar: field("avatar")}
	if l.code != "" {
		parsed, ok := code.Parse(l.code)
		if !ok {
			return l, fmt.Sprintf("%q is not a code; write 8 to 16 of 0-9 and A-Z without I, L, O, U", l.code)
		}
		l.code, l.user = parsed, ""
	} else if l.user == "" {
		return l, "nobody is named: code and user are empty"
	}
	if len([]rune(l.nickname)) > engine.MaxNickname {
		return l, fmt.Sprintf("the nickname has more than %d characters", engine.MaxNickname)
	}
	if len(l.avatar) > engine.MaxAvatarURL {
		return l, fmt.Sprintf("the avatar has more than %d bytes", engine.MaxAvatarURL)
	}
	return l, ""
}

// rack is where posters are put. It may be used by many at a time.
type rack interface {
	has(code string) bool
	put(code string, file []byte) error
	close(whole bool) error
}

// open makes the place that posters are put.
func (b *batch) open(ending string) (rack, error) {
	if !strings.EqualFold(filepath.Ext(b.out), ".zip") {
		if err := os.MkdirAll(b.out, 0o777); err != nil {
			return nil, cannotWrite(b.out, err)
		}
		return &folder{b.out, ending, b.force}, nil
	}
	if _, err := os.Stat(b.out); err == nil && !b.force {
		return nil, fault.New(fault.Conflict, "%s is there already; write another name, or --force to overwrite it", b.out)
	}
	draft, err := os.OpenFile(fmt.Sprintf("%s.%d.part", b.out, os.Getpid()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, cannotWrite(b.out, err)
	}
	return &parcel{out: b.out, ending: ending, draft: draft, zip: zip.NewWriter(draft), when: time.Now()}, nil
}

// folder holds a file for each poster.
type folder struct {
	path, ending string
	anew         bool
}

func (f *folder) has(code string) bool {
	_, err := os.Stat(filepath.Join(f.path, code+f.ending))
	return err == nil && !f.anew
}

func (f *folder) put(code string, file []byte) error {
	path := filepath.Join(f.path, code+f.ending)
	draft := fmt.Sprintf("%s.%d.part", path, os.Getpid())
	err := os.WriteFile(draft, file, 0o666)
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		os.Remove(draft)
	}
	return cannotWrite(path, err)
}

func (f *folder) close(bool) error { return nil }

// parcel is a ZIP file. Pictures do not get smaller, so they are stored as they are.
type parcel struct {
	out, ending string
	when        time.Time

	mu    sync.Mutex
	draft *os.File
	zip   *zip.Writer
}

// dosDate and dosTime are a moment as ZIP files have it; a raw entry is not given them by the writer.
// Source: PKWARE APPNOTE 4.4.6, in the format of MS-DOS.
func dosDate(t time.Time) uint16 {
	return uint16(t.Day() | int(t.Month())<<5 | (t.Year()-1980)<<9)
}

func dosTime(t time.Time) uint16 {
	return uint16(t.Second()/2 | t.Minute()<<5 | t.Hour()<<11)
}

func (p *parcel) has(string) bool { return false }

func (p *parcel) put(code string, file []byte) error {
	size, sum := uint64(len(file)), crc32.ChecksumIEEE(file)
	p.mu.Lock()
	defer p.mu.Unlock()
	w, err := p.zip.CreateRaw(&zip.FileHeader{
		Name: code + p.ending, Method: zip.Store, Modified: p.when,
		ModifiedDate: dosDate(p.when), ModifiedTime: dosTime(p.when), //nolint:staticcheck // Modified alone is not written for a raw entry
		CRC32: sum, CompressedSize64: size, UncompressedSize64: size,
	})
	if err == nil {
		_, err = w.Write(file)
	}
	return cannotWrite(p.out, err)
}

// close ends the file; one that is not whole is taken away.
func (p *parcel) close(whole bool) error {
	err := errors.Join(p.zip.Close(), p.draft.Close())
	if err == nil && whole {
		err = os.Rename(p.draft.Name(), p.out)
	}
	if err != nil || !whole {
		os.Remove(p.draft.Name())
	}
	return cannotWrite(p.out, err)
}

// tally counts posters.
type tally struct {
	all   int
	began time.Time

	mu                    sync.Mutex
	printed, failed, bare int
}

func (t *tally) add()  { t.count(&t.printed) }
func (t *tally) miss() { t.count(&t.bare) }

// fail counts one that was not printed; say tells of it, one after the other.
func (t *tally) fail(say func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed++
	say()
}

func (t *tally) count(n *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}

// String tells how far it is, how fast, and how long it will take.
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	done, took := t.printed+t.failed, time.Since(t.began)
	rate := float64(done) / max(took.Seconds(), 0.001)
	said := fmt.Sprintf("%d of %d posters, %.0f/s", done, t.all, rate)
	if done > 0 {
		said += ", " + time.Duration(float64(t.all-done)/rate*float64(time.Second)).Round(time.Second).String() + " left"
	}
	return said
}

// progress shows on a terminal how far it is, until stop is called.
func (b *batch) progress(t *tally) (stop func()) {
	if !isTerminal(b.stderr) {
		return func() {}
	}
	ended, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(b.stderr, "\r\x1b[K%v", t)
			case <-ended:
				fmt.Fprint(b.stderr, "\r\x1b[K")
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-gone
	}
}
