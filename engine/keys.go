package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/fault"
)

// Roles are what an API key may be for.
var Roles = []string{"owner", "operator", "reviewer", "finance", "viewer", "ingest"}

// keyRow is an API key. The secret itself is shown once and never stored.
type keyRow struct {
	ID         string `gorm:"primaryKey"`
	Name       string
	Role       string
	SecretHash []byte
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
	RevokedAt  *int64
}

func (keyRow) TableName() string { return "api_keys" }

// keyPrefix lets people, and scanners for leaked secrets, see what a key is.
const keyPrefix = "kf_"

// CreateKey makes an API key and gives its secret, for this once.
func (e *Engine) CreateKey(ctx context.Context, role, name string) (string, KeyView, error) {
	if !slices.Contains(Roles, role) {
		return "", KeyView{}, fault.New(fault.Invalid, "%q is no role; write one of %s", cutID(role), strings.Join(Roles, ", "))
	}
	if name != "" && !plainText(name, 100) {
		return "", KeyView{}, fault.New(fault.Invalid, "the name of a key has at most 100 characters on one line")
	}
	var secret [32]byte
	var id [6]byte
	rand.Read(secret[:])
	rand.Read(id[:])
	text := keyPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	row := keyRow{ID: "key_" + hex.EncodeToString(id[:]), Name: name, Role: role, SecretHash: hashSecret(text), CreatedAt: e.now()}
	if err := e.DB.WithContext(ctx).Create(&row).Error; err != nil {
		return "", KeyView{}, err
	}
	return text, row.view(), nil
}

// hashSecret is enough for 256 random bits; there is nothing to guess that slow hashing would slow down.
func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func (k keyRow) view() KeyView {
	v := KeyView{ID: k.ID, Name: k.Name, Role: k.Role, CreatedAt: moment(k.CreatedAt)}
	if k.RevokedAt != nil {
		at := moment(*k.RevokedAt)
		v.RevokedAt = &at
	}
	return v
}

// Keys lists all API keys, the oldest first.
func (e *Engine) Keys(ctx context.Context) ([]KeyView, error) {
	var rows []keyRow
	if err := e.DB.WithContext(ctx).Order("created_at, id").Find(&rows).Error; err != nil {
		return nil, err
	}
	views := make([]KeyView, 0, len(rows))
	for _, r := range rows {
		views = append(views, r.view())
	}
	return views, nil
}

// RevokeKey ends a key, named by its id. This process notices at once, others within keyFresh.
func (e *Engine) RevokeKey(ctx context.Context, id string) error {
	done := e.DB.WithContext(ctx).Model(&keyRow{}).Where("id = ? AND revoked_at IS NULL", id).Update("revoked_at", e.now())
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.New(fault.NotFound, "there is no key %q in force; `kfactor key list` names them", cutID(id))
	}
	e.keys.mu.Lock()
	defer e.keys.mu.Unlock()
	clear(e.keys.per)
	return done.Error
}

// keyFresh is how long an answer about a key is believed.
const keyFresh = 3 * time.Second

// keyCache keeps keys looked up lately. Only keys that exist are kept, so guessing does not fill it.
type keyCache struct {
	mu  sync.Mutex
	per map[string]cachedKey
}

type cachedKey struct {
	view  KeyView
	until time.Time
}

// Authenticate finds the key of a secret; fault.Unauthorized when there is none in force.
func (e *Engine) Authenticate(ctx context.Context, secret string) (KeyView, error) {
	unknown := fault.New(fault.Unauthorized, "this key is not valid; send Authorization: Bearer KEY")
	if !strings.HasPrefix(secret, keyPrefix) || len(secret) > 100 {
		return KeyView{}, unknown
	}
	hash := hashSecret(secret)
	c := &e.keys
	c.mu.Lock()
	cached, ok := c.per[string(hash)]
	c.mu.Unlock()
	if ok && time.Now().Before(cached.until) {
		return cached.view, nil
	}
	var row keyRow
	err := e.DB.WithContext(ctx).Where("secret_hash = ? AND revoked_at IS NULL", hash).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return KeyView{}, unknown
	}
	if err != nil {
		return KeyView{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.per == nil {
		c.per = map[string]cachedKey{}
	}
	c.per[string(hash)] = cachedKey{row.view(), time.Now().Add(keyFresh)}
	return row.view(), nil
}
