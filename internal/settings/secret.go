package settings

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	keyBytes = 32
	keyFile  = "secret.key"
)

// Secret is the key that encrypts personal data and signs cookies: the one that was set; on SQLite else the one in
// DataDir/secret.key, which is made when it is not there yet. A database that others share needs one that is set,
// because every process must have the same.
func (s Settings) Secret() ([]byte, error) {
	if s.SecretKey != nil {
		return s.SecretKey, nil
	}
	if !s.SQLite() {
		return nil, Problems{"KFACTOR_SECRET_KEY is required with MySQL, the same in every process; make one with: openssl rand -base64 32"}
	}
	path := filepath.Join(s.DataDir, keyFile)
	key, err := readKey(path)
	if errors.Is(err, os.ErrNotExist) {
		if err = makeKey(path); err == nil {
			key, err = readKey(path)
		}
	}
	return key, err
}

func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the secret key: %w", err)
	}
	key, err := decodeKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("the secret key in %s is damaged; put the saved one back: without it nobody's personal data can be read", path)
	}
	return key, nil
}

// makeKey writes a fresh key. The whole file appears under its name at once or not at all, and the first of two
// processes wins: linking, unlike renaming, never replaces a file.
func makeKey(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a secret key: %w", err)
		}
	}()
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, keyFile+".*") // its mode is 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	defer draft.Close()

	var key [keyBytes]byte
	rand.Read(key[:])
	if _, err := draft.WriteString(base64.StdEncoding.EncodeToString(key[:]) + "\n"); err != nil {
		return err
	}
	if err := draft.Sync(); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
