package faulttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const campaignID = "fault"

// definition has something of everything that moves: credits that come back, holds that fall due, stock and budget
// that run out, waiting lists, a welcome.
const definition = `campaign: fault
name: Fault
schedule: {starts: 2026-01-01T00:00:00Z, ends: 2036-01-01T00:00:00Z, timezone: Asia/Shanghai}
poster:
  size: [750, 1334]
  background: "#FFFFFF"
  layers:
    - qr: {at: [235, 900], size: 280}
tasks:
  invite: {title: Invite, on: subscribe, credit: inviter, revoke_on: unsubscribe}
  stay: {title: Stay, on: subscribe, credit: inviter, hold: 1s}
  order: {title: Order, on: purchase, credit: actor}
tiers:
  - {name: bronze, requires: {invite: 2}, rewards: [cash]}
  - {name: silver, requires: {invite: 4}, rewards: [mug]}
welcome: {rewards: [points]}
rewards:
  points: {kind: points, title: Points, points: 10, unit_cost: "0.01", stock: 40}
  cash: {kind: cash, title: Cash, amount: "2.00", unit_cost: "2.00", stock: 7}
  mug: {kind: physical, title: Mug, unit_cost: "35.00", stock: 9, review: true}
budget: {currency: CNY, limit: "150.00"}
`

const (
	budget = 15000 // minor units, as the definition has it
	hosts  = 12    // participants whose codes the fans come through
	lanes  = 3     // callers at a time
)

// unitCost is what one of a reward takes of the budget.
var unitCost = map[string]int{"points": 1, "cash": 200, "mug": 3500}

var rewardStock = map[string]int{"points": 40, "cash": 7, "mug": 9}

// load is a crowd that sends events and joins, each again with the same ids until it is answered.
type load struct {
	st     *stage
	client *http.Client
	codes  []string // of the hosts

	fans   atomic.Int64 // numbers given to fans
	turn   atomic.Int64 // which server is next
	fails  atomic.Int64 // requests that had to be sent again
	probes atomic.Int64

	stop    chan struct{}
	stopped sync.Once
	test    context.Context // ends with the test, also where that failed
	all     sync.WaitGroup

	mu     sync.Mutex
	taken  map[string]string // id → type of every answered event
	stays  map[string]bool   // fans that follow in the end
	gone   map[string]bool   // fans that left in the end
	joined map[string]string // user → code, as answered
}

type event struct {
	ID       string `json:"id"`
	Campaign string `json:"campaign"`
	Type     string `json:"type"`
	User     string `json:"user"`
	Code     string `json:"code,omitempty"`
}

func newLoad(st *stage) *load {
	ctx, abandon := context.WithCancel(context.Background())
	l := &load{
		st: st, test: ctx, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		stop: make(chan struct{}), taken: map[string]string{}, stays: map[string]bool{}, gone: map[string]bool{}, joined: map[string]string{},
	}
	st.t.Cleanup(func() {
		abandon()
		l.end()
	})
	return l
}

// begin has the hosts join and the crowd come.
func (l *load) begin() {
	for i := range hosts {
		l.codes = append(l.codes, l.join(fmt.Sprintf("host-%d", i), ""))
	}
	for lane := range lanes {
		rng := rand.New(rand.NewPCG(*seed, uint64(lane)))
		l.all.Go(func() { l.crowd(rng) })
	}
	l.all.Go(l.visitors)
}

// end lets everybody finish what they began: whatever was sent once is sent until it is answered.
func (l *load) end() {
	l.stopped.Do(func() { close(l.stop) })
	l.all.Wait()
}

func (l *load) ended() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *load) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.taken)
}

// crowd sends the stories of some fans at a time: shuffled, some twice at once, some again much later.
func (l *load) crowd(rng *rand.Rand) {
	var late [][]event
	for !l.ended() {
		var first, second, third []event
		var stays, gone []string
		for range 1 + rng.IntN(6) {
			n := l.fans.Add(1)
			user := fmt.Sprintf("fan-%d", n)
			code := l.codes[rng.IntN(len(l.codes))]
			tell := func(list *[]event, kind, id, code string) {
				*list = append(*list, event{fmt.Sprintf("%s-%d", id, n), campaignID, kind, user, code})
			}
			tell(&first, "scan", "scan", code)
			tell(&first, "subscribe", "follow", code)
			if rng.IntN(3) == 0 { // somebody else's code as well: the first one counts
				tell(&first, "subscribe", "again", l.codes[rng.IntN(len(l.codes))])
			}
			if rng.IntN(4) == 0 {
				tell(&first, "purchase", "buy", "")
			}
			left := rng.IntN(4) == 0
			if left {
				tell(&second, "unsubscribe", "leave", "")
			}
			if left && rng.IntN(2) == 0 {
				tell(&third, "subscribe", "back", code)
				left = false
			}
			if left {
				gone = append(gone, user)
			} else {
				stays = append(stays, user)
			}
		}
		for _, batch := range [][]event{first, second, third} {
			if len(batch) == 0 {
				continue
			}
			rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			var twin sync.WaitGroup
			if rng.IntN(4) == 0 {
				twin.Go(func() { l.send(batch) })
			}
			l.send(batch)
			twin.Wait()
			if rng.IntN(5) == 0 {
				late = append(late, batch)
			}
		}
		l.mu.Lock()
		for _, u := range stays {
			l.stays[u] = true
		}
		for _, u := range gone {
			l.gone[u] = true
		}
		l.mu.Unlock()
		if len(late) > 3 {
			i := rng.IntN(len(late))
			l.send(late[i])
			late = slices.Delete(late, i, i+1)
		}
		l.pace(15 * time.Millisecond)
	}
	for _, batch := range late {
		l.send(batch)
	}
}

// visitors join one after the other.
func (l *load) visitors() {
	for n := 0; !l.ended(); n++ {
		l.join(fmt.Sprintf("visitor-%d", n), l.codes[n%len(l.codes)])
		l.pace(50 * time.Millisecond)
	}
}

// pace keeps the load small; nothing is proven by it.
func (l *load) pace(d time.Duration) {
	select {
	case <-l.stop:
	case <-time.After(d):
	}
}

// send sends events until they are answered.
func (l *load) send(batch []event) {
	body, err := json.Marshal(map[string]any{"events": batch})
	if err != nil {
		panic(err)
	}
	answer := l.ask(http.MethodPost, "/v1/events", body, http.StatusAccepted)
	var receipt struct {
		Accepted, Duplicates int
		Rejected             []any
	}
	if l.test.Err() != nil {
		return
	}
	if err := json.Unmarshal(answer, &receipt); err != nil || receipt.Accepted+receipt.Duplicates != len(batch) || len(receipt.Rejected) > 0 {
		l.st.t.Errorf("%d events were answered with %s", len(batch), answer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range batch {
		l.taken[e.ID] = e.Type
	}
}

// join joins until it is answered, and keeps the code.
func (l *load) join(user, invitedBy string) string { return l.joinAs(user, invitedBy, "") }

// joinUnder joins with an Idempotency-Key.
func (l *load) joinUnder(key, user string) string { return l.joinAs(user, "", key) }

func (l *load) joinAs(user, invitedBy, key string) string {
	body, err := json.Marshal(map[string]string{"user": user, "nickname": user, "invited_by": invitedBy})
	if err != nil {
		panic(err)
	}
	var p struct{ Code, User string }
	answer := l.askUnder(key, http.MethodPost, "/v1/campaigns/"+campaignID+"/participants", body, http.StatusCreated, http.StatusOK)
	if l.test.Err() != nil {
		return ""
	}
	if err := json.Unmarshal(answer, &p); err != nil || p.Code == "" || p.User != user {
		l.st.t.Errorf("the join of %s was answered with %s", user, answer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joined[user] = p.Code
	return p.Code
}

// joinNow lets one more person join.
func (l *load) joinNow() { l.join(fmt.Sprintf("probe-%d", l.probes.Add(1)), "") }

// ask sends a request until one of the wanted answers comes; after patience it is an error of the test.
func (l *load) ask(method, path string, body []byte, wanted ...int) []byte {
	return l.askUnder("", method, path, body, wanted...)
}

func (l *load) askUnder(key, method, path string, body []byte, wanted ...int) []byte {
	var last string
	told := false
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline) && l.test.Err() == nil; {
		s := l.st.servers[int(l.turn.Add(1))%len(l.st.servers)]
		answer, status, err := l.once(key, method, "http://"+s.addr+path, body)
		switch {
		case err == nil && slices.Contains(wanted, status):
			return answer
		case err == nil && status != http.StatusServiceUnavailable && (key == "" || status != http.StatusConflict) && !told:
			// Any other answer tells the caller that trying again does not help; under a key, 409 says that a first call
			// is still under way.
			told = true
			l.st.t.Errorf("%s %s was answered with %d: %s", method, path, status, answer)
		}
		last = fmt.Sprint(status, " ", err, " ", string(answer))
		l.fails.Add(1)
		time.Sleep(50 * time.Millisecond)
	}
	if l.test.Err() != nil {
		return nil
	}
	l.st.t.Errorf("%s %s was not answered in %s: %s", method, path, 2*patience, last)
	return nil
}

func (l *load) once(key, method, address string, body []byte) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(l.test, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+l.st.key)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	answer, err := l.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return text, answer.StatusCode, err
}
