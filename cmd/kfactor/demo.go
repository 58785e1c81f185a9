package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"code.dny.dev/ssrf"
	"github.com/spf13/cobra"

	"kfactor/channel/wechat/setup"
	"kfactor/channel/wechat/twin"
	"kfactor/cmd/kfactor/demo"
	"kfactor/engine"
	"kfactor/internal/fetch"
	"kfactor/internal/money"
	"kfactor/internal/queue"
	"kfactor/internal/settings"
	"kfactor/internal/telemetry"
)

func (a *app) demoCommand() *cobra.Command {
	var fans int
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "See it work: a live campaign on a simulated WeChat, with nothing to set up",
		Long: "Starts a server on throw-away data and beside it a twin of the WeChat platform, launches a sample campaign and lets\n" +
			"simulated fans in: they look at the posters in each other's chats, read the QR code in the picture, follow the\n" +
			"account, ask, become members, buy, leave and come back. Days pass in seconds. What the fans did is counted apart\n" +
			"and compared with what the server says: the demo fails where they differ.",
		Example: "  kfactor demo\n  kfactor demo --fans 50 --seed 7 --exit-after-fans",
		Args:    noMore,
		PreRunE: func(*cobra.Command, []string) error {
			if fans < demo.LeastFans || fans > demo.MostFans {
				return usage("--fans: %d is not between %d and %d", fans, demo.LeastFans, demo.MostFans)
			}
			return nil
		},
		RunE: a.do(func(ctx context.Context, _ []string) error {
			return a.demo(ctx, demo.Write(fans, o.seed), o)
		}),
	}
	cmd.Flags().IntVar(&fans, "fans", defaultFans, "how many fans come")
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "the same seed tells the same story")
	cmd.Flags().BoolVar(&o.end, "exit-after-fans", false, "end when the fans are done")
	cmd.Flags().BoolVar(&o.json, "json", false, "print nothing but the report, as JSON")
	return cmd
}

// defaultFans are enough to show everything, and few enough not to keep anybody waiting.
const defaultFans = 200

// demoOptions are how a demo is shown.
type demoOptions struct {
	seed uint64
	end  bool // when the fans are done
	json bool
}

// demo plays the story on throw-away data.
func (a *app) demo(ctx context.Context, story demo.Story, o demoOptions) (err error) {
	dir, err := os.MkdirTemp("", "kfactor-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := a.settings
	s.DataDir, s.RedisURL = dir, queue.Embedded
	s.DatabaseURL = "sqlite://" + filepath.ToSlash(filepath.Join(dir, "kfactor.db"))
	return a.demoOn(ctx, s, story, o)
}

// demoOn runs a whole server on the stores of the settings, with a platform beside it, and plays the story on them.
func (a *app) demoOn(ctx context.Context, s settings.Settings, story demo.Story, o demoOptions) error {
	log := a.logger()
	if !s.Given("log") {
		log = telemetry.Logger("error", a.stderr, isTerminal(a.stderr))
	}
	listener, err := demoListener(ctx, s)
	if err != nil {
		return err
	}
	defer listener.Close()
	link := s.Link(listener.Addr())
	platform, err := startTwin(ctx, listener.Addr(), o.seed, log)
	if err != nil {
		return err
	}
	defer platform.stop()

	s = onTwin(s, platform.Twin)
	around := surroundings{
		now: platform.Clock().Now,
		// The twin's pictures of people are on this machine.
		avatars: fetch.New(maxDemoAvatar, maxDemoAvatars, ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(loopback4), ssrf.WithAllowedV6Prefixes(loopback6)),
	}
	h, err := openHouseIn(ctx, around, s, link, log, migrate, true)
	if err != nil {
		return err
	}
	defer h.closeLogged(log)
	srv, err := newServer(h, link, log, true)
	if err != nil {
		return err
	}
	srv.notice = 0

	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- srv.run(serving, listener, true)
		stop() // a server that fails ends the play as well
	}()
	err = a.playDemo(serving, h, platform, link, story, o)
	if ctx.Err() != nil && !o.end {
		err = nil // Ctrl-C is how a demo ends
	}
	stop()
	return errors.Join(err, <-ended)
}

// Bounds on pictures, in bytes.
const (
	maxDemoAvatar  = 1 << 20   // of one person
	maxDemoAvatars = 32 << 20  // of all that are kept
	maxDemoPosters = 128 << 20 // in chats: more than those of a town
)

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
)

// onTwin has the twin's account as the only channel. Fans all come from this machine: an address of their own is in what
// their browsers say.
func onTwin(s settings.Settings, t *twin.Twin) settings.Settings {
	s.TrustedProxies = []netip.Prefix{loopback4, loopback6}
	c := t.Config()
	s.Channels = map[string]settings.Channel{demo.Channel: {
		Kind: "wechat", AppID: c.AppID, AppSecret: c.Secret, Token: c.Token, AESKey: c.AESKey, OriginalID: c.OriginalID,
		APIURL: t.BaseURL(), OpenURL: t.BaseURL(),
	}}
	return s
}

// demoListener takes the address that was asked for; where none was and the usual one is taken, a free one.
func demoListener(ctx context.Context, s settings.Settings) (net.Listener, error) {
	l, err := listen(ctx, s.Addr)
	if err != nil && !s.Given("addr") {
		return listen(ctx, "127.0.0.1:0")
	}
	return l, err
}

// platform is a twin of WeChat that is being served.
type platform struct {
	*twin.Twin
	stop func()
}

// startTwin serves a twin beside an address: on the port after it where that is free.
func startTwin(ctx context.Context, beside net.Addr, seed uint64, log *slog.Logger) (platform, error) {
	host, port, err := net.SplitHostPort(beside.String())
	if err != nil {
		return platform{}, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		host = "127.0.0.1" // anybody who reaches the twin may do with it what they like
	}
	next, err := strconv.Atoi(port)
	if err != nil {
		return platform{}, err
	}
	l, err := listen(ctx, net.JoinHostPort(host, strconv.Itoa(next+1)))
	if err != nil {
		if l, err = listen(ctx, net.JoinHostPort(host, "0")); err != nil {
			return platform{}, err
		}
	}
	t, err := twin.New(twin.Config{
		Name: "金秋茶社", Mode: twin.Secure, Seed: int64(seed), Templates: demo.Notices, //nolint:gosec // any number will do
		BaseURL: settings.Settings{}.Link(l.Addr()), Log: log,
		MaxFans: 2 * demo.MostFans, MaxImageBytes: maxDemoPosters,
	})
	if err != nil {
		return platform{}, errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: t.Handler(), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the twin is not served", "err", err)
		}
	}()
	return platform{t, func() {
		t.Close()
		if err := server.Close(); err != nil {
			log.Debug("the twin", "err", err)
		}
	}}, nil
}

// setUpAccount gives the account its menu and its replies, and the platform the address where it is answered.
func setUpAccount(ctx context.Context, h *house, t *twin.Twin, link string) error {
	if err := t.SetCallback(ctx, link+"/wechat/"+demo.Channel); err != nil {
		return err
	}
	f, problems := setup.Parse(demo.ChannelsFile, demo.ChannelsName, link)
	if len(problems) > 0 {
		return errors.New(problems[0].String())
	}
	for _, want := range f.Channels {
		applied, err := applyChannel(ctx, h.channels, f, want)
		if err != nil {
			return err
		}
		if applied.Error != "" {
			return fmt.Errorf("channel %s: %s", want.Name, applied.Error)
		}
	}
	return nil
}

func (a *app) playDemo(ctx context.Context, h *house, t platform, link string, story demo.Story, o demoOptions) error {
	talk := a.stdout
	if o.json {
		talk = io.Discard
	}
	keys := map[string]string{}
	for _, role := range []string{"owner", "operator", "ingest"} {
		secret, _, err := h.engine.CreateKey(ctx, role, "demo")
		if err != nil {
			return err
		}
		keys[role] = secret
	}
	if err := setUpAccount(ctx, h, t.Twin, link); err != nil {
		return err
	}
	begun := time.Now()
	play, err := demo.New(story, demo.House{Address: link, OwnerKey: keys["owner"], ShopKey: keys["ingest"], Twin: t.Twin})
	if err != nil {
		return err
	}
	if err := play.Open(ctx); err != nil {
		return err
	}
	fmt.Fprintf(talk, "kfactor demo: %s, seed %d. The data is thrown away at the end.\n\n", story, o.seed)
	show := func(f *twin.Fan) { showAddresses(talk, t.Twin, f, link, keys["operator"]) }
	if err := watch(ctx, talk, play, show); err != nil {
		return err
	}
	report, err := play.Finish(ctx, func(ctx context.Context) (engine.VerifyReport, error) { return h.engine.Verify(ctx, "") })
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(a.stdout, report)
	} else {
		fmt.Fprintf(talk, "\n%d fans, %d posters looked at and read, %d pages opened, %d events, %d days in %.1f seconds\n\n",
			report.Fans, report.Posters, report.Pages, report.Events, report.Days, time.Since(begun).Seconds())
		err = printReport(talk, report)
	}
	if err != nil {
		return err
	}
	if len(report.Problems) > 0 {
		for _, p := range report.Problems {
			fmt.Fprintln(a.stderr, "kfactor:", oneLine(p))
		}
		return fmt.Errorf("the server and the count of what the fans did differ in %s", counted(len(report.Problems), "place"))
	}
	fmt.Fprintf(talk, "\nAll %d friends who were credited came through a code that they read in a friend's picture, as an independent count\n"+
		"has it; %d of them still count. The books balance, and all that is stored follows from the journal.\n", report.Pictures.Read, report.Credited)
	if o.end {
		return nil
	}
	fmt.Fprintln(talk, "\nStill serving, and now and then somebody comes. Ctrl-C ends the demo.")
	if err := play.GoOn(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// watch runs the play and tells how far it is.
func watch(ctx context.Context, talk io.Writer, play *demo.Play, show func(*twin.Fan)) error {
	done := make(chan error, 1)
	go func() { done <- play.Run(ctx) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	shown, told := false, time.Now()
	look := func() {
		if f := play.Star(); f != nil && !shown {
			shown = true
			show(f)
		}
	}
	for {
		select {
		case err := <-done:
			if err == nil {
				look()
			}
			return err
		case now := <-tick.C:
			look()
			if now.Sub(told) >= 2*time.Second {
				told = now
				fmt.Fprintf(talk, "  %s: %d fans have their poster, %d posters were read\n",
					time.Unix(play.Today.Load(), 0).In(china).Format("2 January"), play.Joined.Load(), play.Pictures.Load())
			}
		}
	}
}

// showAddresses prints what to open, once there is somebody whose poster can be seen.
func showAddresses(talk io.Writer, t *twin.Twin, f *twin.Fan, link, key string) {
	phone := t.BaseURL() + "/_twin/fans/" + f.OpenID
	page := link + "/wechat/" + demo.Channel + "/enter?to=" + url.QueryEscape("/me/"+demo.CampaignID)
	api := func(path string) string {
		return fmt.Sprintf("curl -H 'Authorization: Bearer %s' %s%s", key, link, path)
	}
	fmt.Fprintf(talk, "  all fans           %s/_twin/\n"+
		"  a fan's WeChat     %s\n"+
		"  a fan's page       %s/browser?url=%s\n"+
		"  API documentation  %s/docs\n"+
		"  the funnel         %s\n"+
		"  the messages       %s\n\n",
		t.BaseURL(), phone, phone, url.QueryEscape(page), link,
		api("/v1/campaigns/"+demo.CampaignID+"/funnel"), api("/v1/campaigns/"+demo.CampaignID+"/messages"))
}

func printReport(w io.Writer, r demo.Report) error {
	var rows [][]string
	for _, s := range r.Funnel.Stages {
		rows = append(rows, []string{s.Stage, fmt.Sprint(s.Events), fmt.Sprint(s.Users), fmt.Sprintf("%.1f%%", 100*s.Rate)})
	}
	if err := printTable(w, []string{"FUNNEL", "EVENTS", "USERS", "RATE"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d participants, %d follow the account, %d credited friends, k-factor %.2f\n\n", r.Participants, r.Followers, r.Credited, r.Funnel.KFactor)

	rows = nil
	for _, p := range r.Leaderboard {
		rows = append(rows, []string{fmt.Sprint(p.Rank), p.Fan, fmt.Sprint(p.Count)})
	}
	if err := printTable(w, []string{"RANK", "FAN", "FRIENDS"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)

	rows = nil
	for _, s := range r.Rewards {
		rows = append(rows, []string{
			s.Reward, s.Kind, fmt.Sprint(s.Stock), fmt.Sprint(s.Granted), fmt.Sprint(s.Remaining), fmt.Sprint(s.Waitlisted),
		})
	}
	if err := printTable(w, []string{"REWARD", "KIND", "STOCK", "GRANTED", "REMAINING", "WAITLISTED"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)

	rows = nil
	for _, g := range r.Grants {
		rows = append(rows, []string{g.Reward, g.State, fmt.Sprint(g.Count)})
	}
	if err := printTable(w, []string{"GRANTS OF", "STATE", "COUNT"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)

	rows = nil
	totals := map[string]int64{}
	var order []string
	for _, b := range r.Balances {
		if _, met := totals[b.Currency]; !met {
			order = append(order, b.Currency)
		}
		totals[b.Currency] += b.Balance
		rows = append(rows, []string{
			b.Account, b.Currency, money.Format(b.Debit, b.Currency), money.Format(b.Credit, b.Currency), money.Format(b.Balance, b.Currency),
		})
	}
	for _, currency := range order {
		rows = append(rows, []string{"sum", currency, "", "", money.Format(totals[currency], currency)})
	}
	if err := printTable(w, []string{"TRIAL BALANCE", "", "DEBIT", "CREDIT", "BALANCE"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return printMessages(w, r)
}

func printMessages(w io.Writer, r demo.Report) error {
	var rows [][]string
	for _, m := range r.Messages {
		rows = append(rows, []string{m.Word, m.State, strings.TrimSpace(m.Way + " " + m.Reason), fmt.Sprint(m.Count)})
	}
	if err := printTable(w, []string{"MESSAGES", "STATE", "", "COUNT"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	rows = nil
	for _, c := range r.Calls {
		rows = append(rows, []string{c.API, fmt.Sprint(c.Calls), fmt.Sprint(c.Refused), fmt.Sprint(c.Limit)})
	}
	if err := printTable(w, []string{"CALLS TO WECHAT", "ALL DAYS", "REFUSED", "LIMIT A DAY"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d friends credited through pictures, %d expected\n"+
		"%d ledger entries, chain and balances computed again: ok is %t\nthe journal replayed: ok is %t\n",
		r.Pictures.Read, r.Pictures.Expected, r.Ledger.Entries, r.Ledger.OK, r.Replay.OK)
	return err
}
