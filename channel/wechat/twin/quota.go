package twin

import (
	"sync"
	"time"
)

// quota counts the calls of one API in a day and in a minute, as
// https://developers.weixin.qq.com/doc/service/Message_Management/API_Call_Limits.html describes; the day is China's.
type quota struct {
	mu       sync.Mutex
	daily    int64 // 0: no limit
	minutely int64 // 0: no limit
	day      int64
	used     int64
	minute   int64
	inMinute int64
}

// chinaDay numbers the days as the platform counts them, from midnight to midnight at UTC+8.
func chinaDay(at time.Time) int64 { return (at.Unix() + 8*3600) / 86400 }

func (q *quota) turn(now time.Time) {
	if day := chinaDay(now); day != q.day {
		q.day, q.used = day, 0
	}
	if minute := now.Unix() / 60; minute != q.minute {
		q.minute, q.inMinute = minute, 0
	}
}

// take counts a call, or refuses it when the day or the minute is used up.
func (q *quota) take(now time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn(now)
	if q.daily > 0 && q.used >= q.daily {
		return refuse(45009)
	}
	if q.minutely > 0 && q.inMinute >= q.minutely {
		return refuse(45011)
	}
	q.used++
	q.inMinute++
	return nil
}

// state gives the day's limit and what is used of it, and the calls of this minute.
func (q *quota) state(now time.Time) (limit, used, inMinute int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn(now)
	return q.daily, q.used, q.inMinute
}

func (q *quota) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used = 0
}

func (q *quota) limit(daily int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.daily = daily
}
