package wechat

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/database"
)

// china is where the platform's days begin.
var china = time.FixedZone("China", 8*60*60)

// chinaDay is a moment's day in China as yyyymmdd.
func chinaDay(at time.Time) int {
	y, m, d := at.In(china).Date()
	return y*10_000 + int(m)*100 + d
}

// dayOf is when a moment's day began in China.
func dayOf(at time.Time) time.Time {
	y, m, d := at.In(china).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, china)
}

// nextChinaDay is when the day after a moment's begins.
func nextChinaDay(at time.Time) time.Time {
	return dayOf(at).AddDate(0, 0, 1)
}

const (
	// dayDoubt is for how long after midnight what the platform says of a day may be about the one before: a clock may be
	// fast, the platform's too.
	dayDoubt      = 30 * time.Minute
	doubtPause    = 5 * time.Minute // after it said in that time that the day's calls are used up
	refusedPause  = time.Hour       // and at any other time: somebody may have had the account's quotas cleared
	countedWithin = 5 * time.Second // calls that were made are counted for all to see
)

// refusedUntil is when an API is tried again of which the platform says that the day's calls are used up.
func refusedUntil(now time.Time) time.Time {
	pause := refusedPause
	if now.Sub(dayOf(now)) < dayDoubt {
		pause = doubtPause
	}
	if next := nextChinaDay(now); next.Before(now.Add(pause)) {
		return next
	}
	return now.Add(pause)
}

// api is a part of the platform whose calls are counted, by its path.
type api string

const (
	apiSend     api = "/cgi-bin/message/custom/send"
	apiTemplate api = "/cgi-bin/message/template/send"
	apiNotice   api = "/cgi-bin/message/subscribe/bizsend"
	apiCode     api = "/cgi-bin/qrcode/create"
	apiUpload   api = "/cgi-bin/media/upload"
	apiUser     api = "/cgi-bin/user/info"
	apiUsers    api = "/cgi-bin/user/info/batchget"

	// apiForever stands for codes that last for ever; they count for ever too.
	apiForever api = "permanent codes"
)

// dailyLimits are calls per day of an account that is new; the platform says more of others (openapi/quota/get).
var dailyLimits = map[api]int64{
	apiSend: 500_000, apiTemplate: 100_000, apiNotice: 100_000, apiCode: 100_000, apiUpload: 100_000,
	apiUser: 5_000_000, apiUsers: 5_000_000, apiForever: 100_000,
}

// A rank says who stops first when a quota runs out; the numbers are those of notify's priorities.
type rank int

const (
	rankPoster   rank = 10 // also what somebody asked for and waits for
	rankReward   rank = 20
	rankProgress rank = 30
	rankChatter  rank = 40
)

// edge is the last call of a day that a rank may make. A tenth is left to people at the account's console and to other
// programs; of the rest the low ranks leave some to those above them.
func edge(limit int64, r rank) int64 {
	usable := limit - (limit+9)/10
	switch {
	case r >= rankChatter:
		return usable * 7 / 10
	case r >= rankProgress:
		return usable * 8 / 10
	case r >= rankReward:
		return usable * 9 / 10
	}
	return usable
}

// spentError says that an API takes no more calls of a rank for now.
type spentError struct {
	api    api
	paused bool      // the platform said so
	until  time.Time // when trying again makes sense
}

func (e *spentError) Error() string {
	if e.paused {
		return fmt.Sprintf("the platform takes no calls of %s until %s", e.api, e.until.In(china).Format(time.DateTime))
	}
	return fmt.Sprintf("the share of today's calls of %s is used up until %s", e.api, e.until.In(china).Format(time.DateTime))
}

// usage is how many calls of an API all processes have set aside on a day.
type usage struct {
	Channel      string `gorm:"primaryKey"`
	API          string `gorm:"primaryKey;column:api"`
	Day          int    `gorm:"primaryKey;autoIncrement:false"`
	Used         int64
	BlockedUntil int64
}

func (usage) TableName() string { return "channel_usage" }

// made is how many of the calls that were set aside on a day were made, as far as processes have told, and those of others
// that the platform told of.
type made struct {
	Channel string `gorm:"primaryKey"`
	API     string `gorm:"primaryKey;column:api"`
	Day     int    `gorm:"primaryKey;autoIncrement:false"`
	Calls   int64
}

func (made) TableName() string { return "channel_calls" }

// quota hands out the calls of one API of one account. Calls are numbered over all processes in the order in which
// they are set aside, a block at a time; a number is a call that no other process makes. What a process has set aside
// and not used when it ends is lost for the day.
type quota struct {
	db      *gorm.DB
	account string
	api     api
	now     func() time.Time

	mu         sync.Mutex // also held while a block is set aside, so that it happens once
	limit      int64
	block      int64 // calls that are set aside at once
	day        int
	next, last int64 // numbers of the block that is left: next to last
	used       int64 // by all processes, as last seen
	blocked    time.Time
	lookAt     int64         // when it is to be seen what the limit is
	uncounted  map[int]int64 // calls that were made and not told yet, by day
	counting   bool          // they are going to be
}

func newQuota(db *gorm.DB, account string, a api, now func() time.Time) *quota {
	q := &quota{db: db, account: account, api: a, now: now, next: 1}
	q.allow(dailyLimits[a])
	return q
}

// take makes a call one's own, or says with a *spentError that there is none for the rank.
func (q *quota) take(ctx context.Context, r rank) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.turn(now)
	if q.blocked.After(now) {
		return &spentError{q.api, true, q.blocked}
	}
	most := edge(q.limit, r)
	if q.next > q.last && q.used < most {
		if err := q.reserve(ctx); err != nil {
			return err
		}
		if q.blocked.After(now) {
			return &spentError{q.api, true, q.blocked}
		}
	}
	if q.next > q.last || q.next > most {
		return &spentError{q.api, false, nextChinaDay(now)}
	}
	q.next++
	q.note()
	return nil
}

// note counts a call that is being made. It is told to all a moment later, together with others.
func (q *quota) note() {
	if q.uncounted == nil {
		q.uncounted = map[int]int64{}
	}
	q.uncounted[q.day]++
	if !q.counting {
		q.counting = true
		time.AfterFunc(countedWithin, func() {
			ctx, cancel := context.WithTimeout(context.Background(), tripTimeout)
			defer cancel()
			_ = q.count(ctx) // what is not told now is told after the next call
		})
	}
}

// count tells all how many calls were made.
func (q *quota) count(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counting = false
	for day, n := range q.uncounted {
		if err := q.addMade(ctx, day, "calls + ?", n); err != nil {
			return err
		}
		delete(q.uncounted, day)
	}
	return nil
}

// addMade has the calls that were made on a day be what a term says of them.
func (q *quota) addMade(ctx context.Context, day int, term string, n ...any) error {
	db := q.db.WithContext(ctx)
	row := made{Channel: q.account, API: string(q.api), Day: day}
	if _, err := database.InsertNew(db, []made{row}, "channel", "api", "day"); err != nil {
		return err
	}
	return db.Model(&made{}).Where("channel = ? AND api = ? AND day = ?", row.Channel, row.API, row.Day).Update("calls", gorm.Expr(term, n...)).Error
}

// turn begins a new day where one has begun.
func (q *quota) turn(now time.Time) {
	day := chinaDay(now)
	if q.api == apiForever {
		day = 0
	}
	if day != q.day {
		q.day, q.used, q.next, q.last = day, 0, 1, 0
	}
}

// reserve sets a block aside, as much of one as is left.
func (q *quota) reserve(ctx context.Context) error {
	usable := edge(q.limit, rankPoster)
	err := database.Transact(ctx, q.db, func(tx *gorm.DB) error {
		q.next, q.last = 1, 0
		row := usage{Channel: q.account, API: string(q.api), Day: q.day}
		there := tx.Model(&usage{}).Where("channel = ? AND api = ? AND day = ?", row.Channel, row.API, row.Day)
		for n := q.block; n > 0; {
			got := there.Session(&gorm.Session{}).Where("used + ? <= ?", n, usable).Update("used", gorm.Expr("used + ?", n))
			if got.Error != nil {
				return got.Error
			}
			var read []usage
			if err := there.Session(&gorm.Session{}).Find(&read).Error; err != nil {
				return err
			}
			if len(read) == 0 {
				if _, err := database.InsertNew(tx, []usage{row}, "channel", "api", "day"); err != nil {
					return err
				}
				continue
			}
			q.used, q.blocked = read[0].Used, time.UnixMilli(read[0].BlockedUntil)
			if got.RowsAffected == 1 {
				q.next, q.last = q.used-n+1, q.used
				return nil
			}
			n = min(n, usable-q.used) // less than a block is left, or nothing
		}
		return nil
	})
	if err != nil {
		q.next, q.last = 1, 0
	}
	return err
}

// pause has nobody call the API until a moment: the platform said that it would refuse.
func (q *quota) pause(ctx context.Context, until time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn(q.now())
	q.blocked = until
	row := usage{Channel: q.account, API: string(q.api), Day: q.day, BlockedUntil: until.UnixMilli()}
	return database.Upsert(q.db.WithContext(ctx), []usage{row}, []string{"channel", "api", "day"}, []string{"blocked_until"})
}

// catchUp counts calls that others than this program's processes have made: the platform has counted more of them.
func (q *quota) catchUp(ctx context.Context, used int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn(q.now())
	if err := q.addMade(ctx, q.day, "CASE WHEN calls < ? THEN ? ELSE calls END", used, used); err != nil {
		return err
	}
	db := q.db.WithContext(ctx)
	got := db.Model(&usage{}).Where("channel = ? AND api = ? AND day = ? AND used < ?", q.account, string(q.api), q.day, used).Update("used", used)
	if got.Error != nil || got.RowsAffected > 0 || used == 0 {
		return got.Error
	}
	row := usage{Channel: q.account, API: string(q.api), Day: q.day, Used: used}
	_, err := database.InsertNew(db, []usage{row}, "channel", "api", "day")
	return err
}

// uncertain says that it is to be seen what the limit is.
func (q *quota) uncertain() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.now().UnixMilli() >= q.lookAt
}

// look says when it is to be seen again what the limit is.
func (q *quota) look(at int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lookAt = at
}

// allow takes over what the platform says its limit is; 0 changes nothing. Blocks are a thousandth of it: few enough
// that what a process loses at its end is no matter.
func (q *quota) allow(limit int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if limit > 0 {
		q.limit, q.block = limit, max(1, limit/1000)
	}
}
