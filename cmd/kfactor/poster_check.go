package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kfactor/campaign"
	"kfactor/engine"
	"kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/poster/proof"
)

func (a *app) posterCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check FILE", Short: "See whether phones will read the posters of a campaign file",
		Long: "Prints the posters for the people who make it hardest, compresses, shrinks, blurs, turns and darkens them as chat\n" +
			"programs, screens and cameras do, and reads the codes back. The table tells what was read, below it stands what to\n" +
			"change. Ends with 1 when a code is lost to something ordinary; what is in brackets is not ordinary. The files that\n" +
			"the campaign names are looked for beside FILE.",
		Example: "  kfactor poster check spring.yaml",
		Args:    takes("FILE"),
		RunE: a.do(func(_ context.Context, args []string) error {
			return a.checkPosters(args[0], asJSON)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// checkedPoster is what reading one variant back showed.
type checkedPoster struct {
	Variant  string        `json:"variant"`
	Codes    []checkedCode `json:"codes"`
	Warnings []fault.Field `json:"warnings"`
	Problems []fault.Field `json:"problems"`
}

// checkedCode is one person's code.
type checkedCode struct {
	Layer int             `json:"layer"`
	For   string          `json:"for"`
	Read  map[string]bool `json:"read"` // by treatment
}

func checked(variant string, p *proof.Proof) checkedPoster {
	c := checkedPoster{Variant: variant, Codes: []checkedCode{}, Warnings: append([]fault.Field{}, p.Warnings()...), Problems: []fault.Field{}}
	for _, r := range p.Rows {
		code := checkedCode{Layer: r.Layer, For: r.Person, Read: map[string]bool{}}
		for i, read := range r.Read {
			code.Read[p.Treatments[i].Name] = read
		}
		c.Codes = append(c.Codes, code)
	}
	if refused, is := errors.AsType[*fault.Error](p.Err()); is {
		c.Problems = refused.Fields
	}
	return c
}

func (a *app) checkPosters(file string, asJSON bool) error {
	d, _, err := a.readDefinition(file)
	if err != nil {
		return err
	}
	if d.Poster.IsZero() {
		return fmt.Errorf("%s describes no poster", file)
	}
	variants := []string{campaign.MainVariant}
	for _, v := range d.Poster.Variants {
		variants = append(variants, v.Name)
	}
	var failed error
	var all []checkedPoster
	for _, variant := range variants {
		t := engine.PosterTemplate(d, variant)
		t.LinkLength = max(t.LongestLink(), a.linkBytes())
		p, err := proof.Of(t, beside(file))
		if err != nil {
			return err
		}
		c := checked(variant, p)
		if len(c.Problems) > 0 {
			failed = errReported
		}
		if asJSON {
			all = append(all, c)
			continue
		}
		if len(variants) > 1 {
			fmt.Fprintf(a.stdout, "variant %s\n", variant)
		}
		if err := a.printProof(p); err != nil {
			return err
		}
		for _, w := range c.Warnings {
			fmt.Fprintf(a.stdout, "%s: warning: %s: %s\n", file, w.Field, w.Message)
		}
		for _, f := range c.Problems {
			fmt.Fprintf(a.stderr, "%s: %s: %s\n", file, f.Field, f.Message)
		}
	}
	if asJSON {
		return errors.Join(printJSON(a.stdout, all), failed)
	}
	return failed
}

// linkBytes is how long the links in codes are.
func (a *app) linkBytes() int { return len(a.settings.Link(nil)+"/r/") + code.Length }

// printProof writes what was read, a line for each person and code.
func (a *app) printProof(p *proof.Proof) error {
	head := []string{"code", "for"}
	for _, t := range p.Treatments {
		if t.Ordinary {
			head = append(head, t.Name)
		} else {
			head = append(head, "("+t.Name+")")
		}
	}
	rows := make([][]string, 0, len(p.Rows))
	for _, r := range p.Rows {
		row := []string{fmt.Sprintf("layers[%d]", r.Layer), r.Person}
		for _, read := range r.Read {
			if read {
				row = append(row, "yes")
			} else {
				row = append(row, "NO")
			}
		}
		rows = append(rows, row)
	}
	return printTable(a.stdout, head, rows)
}
