package wechat

import (
	"context"
	"math/rand/v2"
	"time"

	"kfactor/channel/wechat/client"
	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// picture is a file that an account has uploaded, for as long as the platform keeps it. One without an id is being
// uploaded by somebody, who is given until ExpiresAt.
type picture struct {
	Channel   string `gorm:"primaryKey"` // the account
	MediaKey  string `gorm:"primaryKey"` // what the picture is: a poster's tag, which changes with it
	MediaID   string
	ExpiresAt int64
}

func (picture) TableName() string { return "channel_media" }

const (
	mediaSpare = 12 * time.Hour // before its end a picture is uploaded anew
	uploadPoll = 200 * time.Millisecond

	// uploadLease is for how long others leave an upload to whoever began it. It is no longer than that of the message
	// which the picture is for: an upload that takes longer may be made twice, which costs a call and nothing else.
	uploadLease = deliverLease
)

// media is the account's id of a picture, uploaded where it has to be: once, whoever asks at the same time.
func (s *station) media(ctx context.Context, key string, r rank, format string, draw func() ([]byte, error)) (string, error) {
	answer := s.flights.DoChan("media "+key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		return s.uploaded(ctx, key, r, format, draw)
	})
	select {
	case a := <-answer:
		id, _ := a.Val.(string)
		return id, a.Err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (s *station) uploaded(ctx context.Context, key string, r rank, format string, draw func() ([]byte, error)) (string, error) {
	for {
		there, mine, err := s.claimMedia(ctx, key)
		if err != nil {
			return "", err
		}
		if mine {
			return s.upload(ctx, there, r, format, draw)
		}
		if there.MediaID != "" {
			return there.MediaID, nil
		}
		select { // another process is at it
		case <-time.After(uploadPoll/2 + rand.N(uploadPoll)):
		case <-ctx.Done():
			return "", fault.Wrap(fault.Unavailable, ctx.Err(), "the picture was not uploaded in time; try again")
		}
	}
}

// claimMedia gives the picture as it stands, and says whether it is ours to upload.
func (s *station) claimMedia(ctx context.Context, key string) (picture, bool, error) {
	db, now := s.accounts.DB.WithContext(ctx), s.accounts.now()
	var rows []picture
	if err := db.Where("channel = ? AND media_key = ?", s.name, key).Find(&rows).Error; err != nil {
		return picture{}, false, err
	}
	there := first(rows)
	if there.MediaID != "" && there.ExpiresAt > now+mediaSpare.Milliseconds() || there.MediaID == "" && there.ExpiresAt > now {
		return there, false, nil
	}
	claim := picture{Channel: s.name, MediaKey: key, ExpiresAt: max(now+uploadLease.Milliseconds(), there.ExpiresAt+1)}
	if len(rows) == 0 {
		n, err := database.InsertNew(db, []picture{claim}, "channel", "media_key")
		return claim, n == 1, err
	}
	got := db.Model(&picture{}).Where("channel = ? AND media_key = ? AND media_id = ? AND expires_at = ?", s.name, key, there.MediaID, there.ExpiresAt).
		Updates(map[string]any{"media_id": "", "expires_at": claim.ExpiresAt})
	return claim, got.RowsAffected == 1, got.Error
}

// upload draws and uploads what we have claimed. A claim that came to nothing is given back.
func (s *station) upload(ctx context.Context, claim picture, r rank, format string, draw func() ([]byte, error)) (string, error) {
	var got client.Media
	body, err := draw()
	if err == nil {
		err = s.call(ctx, apiUpload, r, func() (err error) {
			got, err = s.client.UploadImage(ctx, "poster."+format, "image/"+format, body)
			return err
		})
	}
	ours := s.accounts.DB.WithContext(context.WithoutCancel(ctx)).Model(&picture{}).
		Where("channel = ? AND media_key = ? AND media_id = ? AND expires_at = ?", claim.Channel, claim.MediaKey, "", claim.ExpiresAt)
	if err != nil {
		if undone := ours.Update("expires_at", 0); undone.Error != nil {
			s.accounts.Log.Warn("upload", "channel", s.name, "err", undone.Error)
		}
		return "", err
	}
	return got.ID, ours.Updates(map[string]any{"media_id": got.ID, "expires_at": got.Expires.UnixMilli()}).Error
}

// loseMedia forgets a picture that the platform does not know.
func (s *station) loseMedia(ctx context.Context, key, id string) error {
	return s.accounts.DB.WithContext(ctx).Where("channel = ? AND media_key = ? AND media_id = ?", s.name, key, id).Delete(&picture{}).Error
}
