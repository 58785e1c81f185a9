package engine

import (
	"context"

	"kfactor/notify"
)

// MessageCounts is how many messages of a channel are owed, being sent, waiting and unsent.
type MessageCounts struct {
	Owed    int64 `json:"owed"` // with those being sent
	Waiting int64 `json:"waiting"`
	Unsent  int64 `json:"unsent"`
}

// MessageCounts counts what the people of each channel are owed, and what they will not get. Channels of which there
// is nothing are left out.
func (e *Engine) MessageCounts(ctx context.Context) (map[string]MessageCounts, error) {
	var rows []struct {
		Channel string
		State   notify.State
		N       int64
	}
	err := e.DB.WithContext(ctx).Model(&messageRow{}).Select("channel, state, COUNT(*) AS n").
		Where("state IN ?", []notify.State{notify.Owed, notify.Taken, notify.Waiting, notify.Unsent}).Group("channel, state").Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	counts := map[string]MessageCounts{}
	for _, r := range rows {
		c := counts[r.Channel]
		switch r.State {
		case notify.Waiting:
			c.Waiting += r.N
		case notify.Unsent:
			c.Unsent += r.N
		default:
			c.Owed += r.N
		}
		counts[r.Channel] = c
	}
	return counts, nil
}
