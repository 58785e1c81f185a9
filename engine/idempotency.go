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
	idempotencyPending = 10 * time.Second // a call that has not held its key for so long is dead
	idempotencyRenewed = 2 * time.Second  // how often a call says that it lives
	idempotencyGivenUp = 7 * time.Second  // a call that could not say so for so long ends, before another takes its key
	idempotencyTidied  = time.Minute      // how often answers that are too old are deleted
	idempotencyLongest = 50 * time.Second // a call may take; its caller is written to for a minute
)

// errKeyLost ends a call that no longer holds its key: another may be doing the same.
var errKeyLost = fault.New(fault.Unavailable, "the call could not keep its Idempotency-Key; send the same again")

// Once does a call under an Idempotency-Key and keeps its answer, or gives the one that an earlier call was answered
// with. The same key with another body, or while the first call is under way, is a fault. The key stays taken for as
// long as the call runs, whose ctx ends when it can be held no longer. A call that fails is forgotten and can be made
// again, and so is that of a process that died, some seconds later.
func (e *Engine) Once(ctx context.Context, scope, key string, fingerprint []byte, do func(ctx context.Context) (StoredAnswer, error)) (a StoredAnswer, repeated bool, err error) {
	row := idempotencyRow{Scope: idempotencyScope(scope, key), Fingerprint: hashBody(fingerprint), CreatedAt: e.now()}
	stored, err := e.claim(ctx, row)
	if err != nil {
		return StoredAnswer{}, false, err
	}
	if stored != nil {
		return *stored, true, nil
	}
	bounded, end := context.WithTimeout(ctx, idempotencyLongest)
	defer end()
	call, h := e.hold(bounded, row)
	kept := StoredAnswer{}
	// Whatever comes, the call ends: with its answer, or forgotten so that it can be made again. That must not depend
	// on a caller who may be gone.
	defer func() {
		if err := h.end(context.WithoutCancel(ctx), kept); err != nil {
			e.Log.Error("answer not kept for its Idempotency-Key", "err", err)
		}
	}()
	if a, err = do(call); err != nil {
		if lost := context.Cause(call); errors.Is(lost, errKeyLost) {
			err = fault.Wrap(fault.Unavailable, err, "%s", errKeyLost.Message)
		}
		return StoredAnswer{}, false, err
	}
	kept = a
	return a, false, nil
}

// claim takes a key, or gives the answer that stands under it.
func (e *Engine) claim(ctx context.Context, row idempotencyRow) (*StoredAnswer, error) {
	db := e.DB.WithContext(ctx)
	underWay := fault.New(fault.Conflict, "a request with this Idempotency-Key is still under way; try again in a moment")
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
			// Unless it moved meanwhile: then it lives, or was answered.
			err := db.Where("scope = ? AND created_at = ? AND status = ?", there.Scope, there.CreatedAt, there.Status).Delete(&idempotencyRow{}).Error
			if err != nil {
				return nil, err
			}
		case !bytes.Equal(there.Fingerprint, row.Fingerprint):
			return nil, fault.Fields("this Idempotency-Key was used with another body",
				fault.Field{Field: "Idempotency-Key", Message: "use a new key for a new request"})
		case there.Status == 0:
			return nil, underWay
		default:
			body, err := e.sealer.Open(there.Body)
			return &StoredAnswer{Status: there.Status, ContentType: there.ContentType, Body: []byte(body)}, err
		}
	}
	return nil, underWay
}

// holding is a key that a call under way keeps renewing.
type holding struct {
	engine  *Engine
	stop    chan struct{}
	stopped chan struct{}
	scope   []byte
	marks   []int64 // when our row says that it was made: the last we know of, and those of renewals whose end we do not
}

// hold renews a claimed key until end is called on it. The call's context ends with errKeyLost when the key is somebody
// else's, or may be soon.
func (e *Engine) hold(ctx context.Context, row idempotencyRow) (context.Context, *holding) {
	h := &holding{engine: e, stop: make(chan struct{}), stopped: make(chan struct{}), scope: row.Scope, marks: []int64{row.CreatedAt}}
	call, lose := context.WithCancelCause(ctx)
	go func() {
		defer close(h.stopped)
		defer lose(nil)
		tick := time.NewTicker(idempotencyRenewed)
		defer tick.Stop()
		renewed := time.Now()
		for {
			select {
			case <-h.stop:
				return
			case <-tick.C:
			}
			began := time.Now()
			ours, err := h.renew()
			switch {
			case err == nil && ours:
				renewed = began
			case err == nil || time.Since(renewed) > idempotencyGivenUp:
				lose(errKeyLost)
			}
		}
	}()
	return call, h
}

// renew says that the call lives; ours is false when the row is somebody else's.
func (h *holding) renew() (ours bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), idempotencyRenewed)
	defer cancel()
	mark := max(h.engine.now(), h.marks[len(h.marks)-1]+1) // a row that does not change counts as none on MySQL
	before := h.marks
	h.marks = append(h.marks, mark)
	done := h.rows(ctx, before).Update("created_at", mark)
	if done.Error != nil {
		return false, done.Error
	}
	h.marks = []int64{mark}
	return done.RowsAffected == 1, nil
}

// rows is our row, as long as it is ours.
func (h *holding) rows(ctx context.Context, marks []int64) *gorm.DB {
	return h.engine.DB.WithContext(ctx).Model(&idempotencyRow{}).Where("scope = ? AND status = 0 AND created_at IN ?", h.scope, marks)
}

// end keeps the answer for whoever sends the same again; one of status 0 is none, and forgets the call.
func (h *holding) end(ctx context.Context, a StoredAnswer) error {
	close(h.stop)
	<-h.stopped
	ctx, cancel := context.WithTimeout(ctx, idempotencyPending)
	defer cancel()
	if a.Status == 0 {
		return h.rows(ctx, h.marks).Delete(&idempotencyRow{}).Error
	}
	return h.rows(ctx, h.marks).Updates(map[string]any{
		"status": a.Status, "content_type": a.ContentType, "body": h.engine.sealer.Seal(string(a.Body)),
	}).Error
}

// forgetAnswers deletes answers that no key gives again, so that their table does not grow with time.
func (e *Engine) forgetAnswers(ctx context.Context) error {
	const most = 500 // in one statement
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	for {
		db := e.DB.WithContext(ctx)
		before := e.now() - idempotencyKept.Milliseconds()
		var old [][]byte
		err := db.Model(&idempotencyRow{}).Where("created_at < ?", before).Order("created_at").Limit(most).Pluck("scope", &old).Error
		if err != nil || len(old) == 0 {
			return err
		}
		if err := db.Where("scope IN ? AND created_at < ?", old, before).Delete(&idempotencyRow{}).Error; err != nil || len(old) < most {
			return err
		}
	}
}

func idempotencyScope(scope, key string) []byte {
	sum := sha256.Sum256([]byte(scope + "\x00" + key))
	return sum[:]
}

func hashBody(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:]
}
