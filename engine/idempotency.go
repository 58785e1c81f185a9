package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// idempotencyRow is an Idempotency-Key that was used. Status 0 is a call still under way.
type idempotencyRow struct {
	Scope       []byte `gorm:"primaryKey"` // hash of who called what with which key
	Fingerprint []byte // hash of the body
	Status      int
	ContentType string
	Body        []byte // sealed: answers name people
	CreatedAt   int64  `gorm:"autoCreateTime:false"`
}

func (idempotencyRow) TableName() string { return "idempotency_keys" }

const (
	idempotencyKept    = 24 * time.Hour   // a key may be used anew after that
	idempotencyPending = 10 * time.Second // a call that has not answered by then is taken for dead; were it not, both do one thing
)

// Remembered begins a call with an Idempotency-Key: it gives the answer of an earlier one, or nil when this is the
// first, which then must end with Remember. The same key with another body, or while the first is under way, is a fault.
func (e *Engine) Remembered(ctx context.Context, scope, key string, fingerprint []byte) (*StoredAnswer, error) {
	row := idempotencyRow{Scope: idempotencyScope(scope, key), Fingerprint: hashBody(fingerprint), CreatedAt: e.now()}
	db := e.DB.WithContext(ctx)
	for range 3 {
		written, err := database.InsertNew(db, []idempotencyRow{row}, "scope")
		if err != nil || written == 1 {
			return nil, err
		}
		var there idempotencyRow
		err = db.Where("scope = ?", row.Scope).Take(&there).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		age := time.Duration(row.CreatedAt-there.CreatedAt) * time.Millisecond
		switch {
		case age > idempotencyKept || there.Status == 0 && age > idempotencyPending:
			if err := db.Where("scope = ? AND created_at = ?", there.Scope, there.CreatedAt).Delete(&idempotencyRow{}).Error; err != nil {
				return nil, err
			}
		case !bytes.Equal(there.Fingerprint, row.Fingerprint):
			return nil, fault.Fields("this Idempotency-Key was used with another body",
				fault.Field{Field: "Idempotency-Key", Message: "use a new key for a new request"})
		case there.Status == 0:
			return nil, fault.New(fault.Conflict, "a request with this Idempotency-Key is still under way; try again in a moment")
		default:
			body, err := e.sealer.Open(there.Body)
			return &StoredAnswer{Status: there.Status, ContentType: there.ContentType, Body: []byte(body)}, err
		}
	}
	return nil, fault.New(fault.Conflict, "a request with this Idempotency-Key is still under way; try again in a moment")
}

// Remember ends a call that Remembered began. An answer of status 0 forgets it, so that the call can be made again.
func (e *Engine) Remember(ctx context.Context, scope, key string, fingerprint []byte, a StoredAnswer) error {
	db := e.DB.WithContext(ctx).Where("scope = ? AND fingerprint = ?", idempotencyScope(scope, key), hashBody(fingerprint))
	if a.Status == 0 {
		return db.Delete(&idempotencyRow{}).Error
	}
	return db.Model(&idempotencyRow{}).Updates(map[string]any{"status": a.Status, "content_type": a.ContentType, "body": e.sealer.Seal(string(a.Body))}).Error
}

func idempotencyScope(scope, key string) []byte {
	sum := sha256.Sum256([]byte(scope + "\x00" + key))
	return sum[:]
}

func hashBody(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:]
}
