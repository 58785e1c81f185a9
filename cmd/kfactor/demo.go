package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"kfactor/cmd/kfactor/demo"
	"kfactor/internal/money"
	"kfactor/internal/queue"
	"kfactor/internal/settings"
	"kfactor/internal/telemetry"
)

func (a *app) demoCommand() *cobra.Command {
	var fans int
	var seed uint64
	var o demoOptions
	cmd := &cobra.Command{
		Use: "demo", Short: "See it work: a live campaign and simulated fans, with nothing to set up",
		Long: "Starts a server on throw-away data, launches a sample campaign and lets simulated fans in: they fetch each\n" +
			"other's real posters, read the QR code in the picture, follow the link, join, buy, leave and come back.\n" +
			"What the fans did is counted apart and compared with what the server says: the demo fails where they differ.",
		Example: "  kfactor demo\n  kfactor demo --fans 50 --seed 7 --exit-after-fans",
		Args:    noMore,
		PreRunE: func(*cobra.Command, []string) error {
			if fans < demo.LeastFans || fans > demo.MostFans {
				return usage("--fans: %d is not between %d and %d", fans, demo.LeastFans, demo.MostFans)
			}
			return nil
		},
		RunE: a.do(func(ctx context.Context, _ []string) error {
			o.title = fmt.Sprintf("%d fans, seed %d", fans, seed)
			return a.demo(ctx, demo.Write(fans, seed), o)
		}),
	}
	cmd.Flags().IntVar(&fans, "fans", 200, "how many fans come")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "the same seed tells the same story")
	cmd.Flags().BoolVar(&o.end, "exit-after-fans", false, "end when the fans are done")
	cmd.Flags().BoolVar(&o.json, "json", false, "print nothing but the report, as JSON")
	return cmd
}

// demoOptions are how a demo is shown.
type demoOptions struct {
	title string
	end   bool // when the fans are done
	json  bool
}

// demo runs a whole server on throw-away data and plays the story on it.
func (a *app) demo(ctx context.Context, story demo.Story, o demoOptions) (err error) {
	dir, err := os.MkdirTemp("", "kfactor-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := a.settings
	s.DataDir, s.RedisURL = dir, queue.Embedded
	s.DatabaseURL = "sqlite://" + filepath.ToSlash(filepath.Join(dir, "kfactor.db"))
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
	h, err := openHouse(ctx, s, link, log, migrate, true)
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
	err = a.playDemo(serving, h, link, story, o)
	if ctx.Err() != nil && !o.end {
		err = nil // Ctrl-C is how a demo ends
	}
	stop()
	return errors.Join(err, <-ended)
}

// demoListener takes the address that was asked for; where none was and the usual one is taken, a free one.
func demoListener(ctx context.Context, s settings.Settings) (net.Listener, error) {
	l, err := listen(ctx, s.Addr)
	if err != nil && !s.Given("addr") {
		return listen(ctx, "127.0.0.1:0")
	}
	return l, err
}

func (a *app) playDemo(ctx context.Context, h *house, link string, story demo.Story, o demoOptions) error {
	talk := a.stdout
	if o.json {
		talk = io.Discard
	}
	keys := map[string]string{}
	for _, role := range []string{"owner", "viewer", "ingest"} {
		secret, _, err := h.engine.CreateKey(ctx, role, "demo")
		if err != nil {
			return err
		}
		keys[role] = secret
	}
	play, err := demo.New(story, link, keys["owner"], keys["ingest"])
	if err != nil {
		return err
	}
	if err := play.Open(ctx); err != nil {
		return err
	}
	fmt.Fprintf(talk, "kfactor demo: %s. The data is thrown away at the end.\n\n", o.title)

	begun := time.Now()
	if err := watch(ctx, talk, play, link, keys["viewer"]); err != nil {
		return err
	}
	report, err := play.Finish(ctx)
	if err != nil {
		return err
	}
	if o.json {
		err = printJSON(a.stdout, report)
	} else {
		fmt.Fprintf(talk, "\n%d fans, %d posters fetched and read, %d events in %.1f seconds\n\n",
			report.Fans, report.Posters, report.Events, time.Since(begun).Seconds())
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
	fmt.Fprintf(talk, "\nEvery code read from a poster was its owner's, all %d credited friends are where an independent count\n"+
		"has them, and the books balance.\n", report.Credited)
	if o.end {
		return nil
	}
	fmt.Fprintln(talk, "\nStill serving. Ctrl-C ends the demo.")
	<-ctx.Done()
	return nil
}

// watch runs the play and tells how far it is.
func watch(ctx context.Context, talk io.Writer, play *demo.Play, link, viewerKey string) error {
	done := make(chan error, 1)
	go func() { done <- play.Run(ctx) }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	shown, told := false, time.Now()
	for {
		select {
		case err := <-done:
			if !shown && err == nil {
				showAddresses(talk, play, link, viewerKey)
			}
			return err
		case now := <-tick.C:
			if !shown {
				shown = showAddresses(talk, play, link, viewerKey)
			}
			if now.Sub(told) >= 2*time.Second {
				told = now
				fmt.Fprintf(talk, "  %d fans came, %d posters read, %d events\n", play.Done.Load(), play.Pictures.Load(), play.Events.Load())
			}
		}
	}
}

// showAddresses prints what to open, once there is somebody whose poster can be seen.
func showAddresses(talk io.Writer, play *demo.Play, link, viewerKey string) bool {
	first := play.First()
	if first == nil {
		return false
	}
	fmt.Fprintf(talk, "  a fan's landing page  %s\n  their poster          %s\n  API documentation     %s/docs\n"+
		"  the funnel            curl -H 'Authorization: Bearer %s' %s/v1/campaigns/%s/funnel\n\n",
		first.InviteURL, first.PosterURL, link, viewerKey, link, demo.CampaignID)
	return true
}

func printReport(w io.Writer, r demo.Report) error {
	var rows [][]string
	for _, s := range r.Funnel.Stages {
		rows = append(rows, []string{s.Stage, fmt.Sprint(s.Events), fmt.Sprint(s.Users), fmt.Sprintf("%.1f%%", 100*s.Rate)})
	}
	if err := printTable(w, []string{"FUNNEL", "EVENTS", "USERS", "RATE"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d participants, %d credited friends, k-factor %.2f\n\n", r.Participants, r.Credited, r.Funnel.KFactor)

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
	_, err := fmt.Fprintf(w, "%d ledger entries, chain and balances computed again: ok is %t\n", r.Ledger.Entries, r.Ledger.OK)
	return err
}
