package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"kfactor/campaign"
	"kfactor/internal/fault"
	"kfactor/poster"
	"kfactor/poster/proof"
)

// Legible says whether phones will read every variant of a definition's poster when links have so many bytes. The fault
// names the fields of the definition and what to change, also where a poster cannot be printed at all; nil where no poster is described.
func Legible(d *campaign.Definition, linkBytes int, files poster.Assets) error {
	if d.Poster.IsZero() {
		return nil
	}
	var wrong []fault.Field
	var said string
	for _, v := range append([]campaign.Variant{{}}, d.Poster.Variants...) {
		at := "poster."
		if v.Layers != nil {
			at += "variants." + v.Name + "."
		}
		t := PosterTemplate(d, v.Name)
		t.LinkLength = max(t.LongestLink(), linkBytes)
		err := proofs.of(t, d.Files(), files)
		var refused *fault.Error
		if !errors.As(err, &refused) || len(refused.Fields) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		said = cmp.Or(said, refused.Message)
		for _, f := range refused.Fields {
			if f.Field = at + f.Field; !slices.Contains(wrong, f) {
				wrong = append(wrong, f)
			}
		}
	}
	if len(wrong) > 0 {
		return fault.Fields(said, wrong...)
	}
	return nil
}

// proofs are what came of proofs in this process. A proof follows from a template and the bytes of its files alone and
// takes a second or two.
var proofs proofCache

type proofCache struct {
	mu    sync.Mutex // also held while one is made: it keeps all processors busy
	known map[string]error
}

const maxProofs = 256

func (c *proofCache) of(t poster.Template, names []string, files poster.Assets) error {
	sum := sha256.New()
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	sum.Write(text)
	for _, name := range names {
		file, err := files(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "\n%s %x", name, sha256.Sum256(file))
	}
	key := hex.EncodeToString(sum.Sum(nil))

	c.mu.Lock()
	defer c.mu.Unlock()
	if err, ok := c.known[key]; ok {
		return err
	}
	p, err := proof.Of(t, files)
	if err == nil {
		err = p.Err()
	}
	if c.known == nil || len(c.known) >= maxProofs {
		c.known = map[string]error{}
	}
	c.known[key] = err
	return err
}
