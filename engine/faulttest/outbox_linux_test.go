package faulttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/services"
	"kfactor/notify"
)

// A sender is this test's own program, built with crash points and told by these which database to work on and which
// message to owe first.
const (
	senderDatabase = "FAULTTEST_SENDER_DATABASE"
	senderFirst    = "FAULTTEST_SENDER_FIRST"
	sentByOne      = 60 // messages that a sender owes in its life
)

var senderBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workshop, "sender")
	cmd := exec.Command("go", "test", "-c", "-tags", "crashpoints", "-o", path, "kfactor/engine/faulttest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the sender: %w: %s", err, said)
	}
	return path, nil
})

func openOutbox(ctx context.Context, db *gorm.DB, dir string) (*engine.Engine, error) {
	return engine.New(engine.Config{DB: db, Secret: make([]byte, 32), DataDir: dir, PublicURL: "http://k.example"})
}

// TestSender is what a sender does: it owes messages, sends what is due, and says each thing when it is done.
func TestSender(t *testing.T) {
	address := os.Getenv(senderDatabase)
	if address == "" {
		t.Skip("a sender is started by TestASenderThatDies")
	}
	first, err := strconv.Atoi(os.Getenv(senderFirst))
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close(db) }()
	e, err := openOutbox(t.Context(), db, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	send := func() {
		owed, err := e.TakeOwed(t.Context(), "main", 3, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var settled []engine.Settled
		for _, o := range owed {
			fmt.Println("sending", o.No)
			settled = append(settled, engine.Settled{No: o.No, Taker: o.Taker, State: notify.Sent})
		}
		if err := e.SettleOwed(t.Context(), settled); err != nil {
			t.Fatal(err)
		}
		for _, o := range owed {
			fmt.Println("sent", o.No)
		}
	}
	for n := first; n < first+sentByOne; n++ {
		due := engine.Due{Campaign: campaignID, User: fmt.Sprint("fan-", n%7), Kind: notify.Reward, Word: "joined", Source: strconv.Itoa(n)}
		if err := e.Owe(t.Context(), []engine.Due{due}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("owed", n)
		if n%2 == 0 {
			send()
		}
	}
	for deadline := time.Now().Add(patience); ; {
		send()
		var open int64
		if err := db.Table("messages").Where("state <> ?", notify.Sent).Count(&open).Error; err != nil || time.Now().After(deadline) {
			t.Fatal(open, err)
		}
		if open == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond) // leases of those who died run out
	}
}

func TestASenderThatDies(t *testing.T) {
	if !*sweep {
		t.Skip("make fault plays it")
	}
	for store, open := range map[string]func(t *testing.T) string{
		embedded: func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "outbox.db") },
		outside:  func(t *testing.T) string { return services.MySQL(t) },
	} {
		t.Run(store, func(t *testing.T) {
			address := open(t)
			db := databasetest.Migrated(t, address)
			e, err := openOutbox(t.Context(), db, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			source := strings.Replace(definition, "name: Fault\n", "name: Fault\nchannel: main\n", 1)
			if _, err := e.CreateCampaign(t.Context(), []byte(source), "fault.yaml", "t"); err != nil {
				t.Fatal(err)
			}
			told := results.add("a sender of messages dies at named points", store)
			began := time.Now()
			rng := rand.New(rand.NewPCG(*seed, 11))
			owed, sent := map[string]bool{}, map[string]bool{}
			sending := map[string]int{}
			first := 0
			for _, point := range []string{"outbox.half-written", "outbox.before-commit", "outbox.before-answer", "outbox.taken", "outbox.before-settle", ""} {
				for range times(1, 6) {
					told.rounds++
					died := runSender(t, address, first, point, 1+rng.IntN(8), func(what, which string) {
						switch what {
						case "owed":
							owed[which] = true
						case "sending":
							if sent[which] {
								t.Errorf("message %s was sent, and is sent again", which)
							}
							sending[which]++
						case "sent":
							sent[which] = true
						}
					})
					if died != (point != "") {
						t.Errorf("at %q the sender died: %v", point, died)
					}
					first += sentByOne
				}
			}
			for n := range owed {
				var rows int64
				if err := db.Table("messages").Where("source = ?", n).Count(&rows).Error; err != nil || rows != 1 {
					t.Errorf("message %s stands there %d times, %v", n, rows, err)
				}
			}
			var all, done int64
			err = errors.Join(db.Table("messages").Count(&all).Error, db.Table("messages").Where("state = ?", notify.Sent).Count(&done).Error)
			if err != nil || all != done || len(owed) == 0 {
				t.Errorf("%d of %d are sent, %v", done, all, err)
			}
			twice := 0
			for _, n := range sending {
				twice += n - 1
			}
			if twice > 3*told.rounds { // what one had taken when it died
				t.Errorf("%d were sent twice in %d lives", twice, told.rounds)
			}
			told.events, told.took, told.verdict = int(all), time.Since(began), "kept"
			if t.Failed() {
				told.verdict = "BROKEN"
			}
		})
	}
}

// runSender lets a sender live until it dies at a point or has sent everything, and hands on what it says.
func runSender(t *testing.T, address string, first int, point string, n int, say func(what, which string)) (died bool) {
	t.Helper()
	path, err := senderBinary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-test.run=^TestSender$", "-test.count=1")
	cmd.Env = append(os.Environ(), senderDatabase+"="+address, senderFirst+"="+strconv.Itoa(first))
	if point != "" {
		cmd.Env = append(cmd.Env, fmt.Sprintf("CRASH_AT=%s:%d", point, n))
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var rest []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		what, which, _ := strings.Cut(lines.Text(), " ")
		if what == "owed" || what == "sending" || what == "sent" {
			say(what, which)
		} else {
			rest = append(rest, lines.Text())
		}
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && ctx.Err() == nil {
		return true
	}
	if err != nil {
		t.Fatalf("the sender failed: %v\n%s", err, strings.Join(rest, "\n"))
	}
	return false
}
