// Package proof shows before a campaign starts whether phones will read its posters. It prints a template for the people
// who make it hardest, does to the pictures what chat programs, screens and cameras do, reads the codes back with a
// reader that had no part in drawing them, and where that fails finds out by trying what has to change.
package proof

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // posters are JPEG
	_ "image/png"  // or PNG
	"strings"

	"golang.org/x/sync/errgroup"

	"kfactor/internal/fault"
	"kfactor/poster"
)

// shownWidth is how wide phones show posters; the treatments are counted in its pixels.
const shownWidth = 1080

// Proof is what could be read. Its rows are codes and people, its columns treatments.
type Proof struct {
	Treatments []Treatment
	Rows       []Row // none for a template without a code
	findings   []finding
}

// Row is one person's code.
type Row struct {
	Layer  int    // of the template
	Person string // what is hard about this one
	Read   []bool // by treatment
}

// finding is a code that was not read, with what would change that.
type finding struct {
	layer    int
	ordinary bool
	message  string
}

// Of proves a template. What Compile refuses is refused here in the same words; that codes cannot be read is not an
// error of Of but for Proof.Err to tell.
func Of(t poster.Template, assets poster.Assets) (*Proof, error) {
	press, err := poster.Compile(t, assets)
	if err != nil {
		return nil, err
	}
	p := &Proof{Treatments: treatments}
	crowd := people(&t)
	for i, l := range t.Layers {
		if l.QR == nil {
			continue
		}
		for _, who := range crowd {
			p.Rows = append(p.Rows, Row{Layer: i, Person: who.name, Read: make([]bool, len(treatments))})
		}
	}
	if len(p.Rows) == 0 {
		return p, nil
	}
	var work errgroup.Group
	work.SetLimit(4)
	for i, who := range crowd {
		work.Go(func() error {
			picture, err := shown(press, who.person)
			if err != nil {
				return fmt.Errorf("print for %s: %w", who.name, err)
			}
			for at := i; at < len(p.Rows); at += len(crowd) {
				row := &p.Rows[at]
				code := around(picture, t.Layers[row.Layer].QR, t.Width)
				for j, treatment := range treatments {
					row.Read[j] = read(treatment.apply(code), who.person.Link)
				}
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	for i := 0; i < len(p.Rows); i += len(crowd) {
		p.judge(&t, assets, crowd, p.Rows[i:i+len(crowd)])
	}
	return p, nil
}

// shown prints a poster and gives its brightness, no wider than phones show it.
func shown(press *poster.Press, person poster.Person) (*image.Gray, error) {
	var file bytes.Buffer
	if err := press.Print(&file, "", person); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(&file)
	if err != nil {
		return nil, fmt.Errorf("a printed poster cannot be decoded: %w", err)
	}
	b := img.Bounds()
	gray := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	if planes, ok := img.(*image.YCbCr); ok {
		for y := range b.Dy() {
			copy(gray.Pix[y*gray.Stride:][:b.Dx()], planes.Y[y*planes.YStride:])
		}
	} else {
		draw.Draw(gray, gray.Rect, img, b.Min, draw.Src)
	}
	if b.Dx() > shownWidth {
		gray = resized(gray, shownWidth, max(1, b.Dy()*shownWidth/b.Dx()))
	}
	return gray, nil
}

// around cuts out what a phone that is pointed at the code sees. It begins at a multiple of 96, so that the blocks of a
// JPEG made of the cutting, also at a half or a third, lie as they would in one made of the whole poster.
func around(picture *image.Gray, q *poster.QR, width int) *image.Gray {
	scaled := func(v int) int {
		if width > shownWidth {
			return v * shownWidth / width
		}
		return v
	}
	const grid, beside = 96, 48
	r := image.Rect(scaled(q.X), scaled(q.Y), scaled(q.X+q.Size), scaled(q.Y+q.Size)).Inset(-beside)
	r.Min.X, r.Min.Y = max(0, r.Min.X)/grid*grid, max(0, r.Min.Y)/grid*grid
	r = r.Intersect(picture.Rect)
	to := image.NewGray(image.Rect(0, 0, r.Dx(), r.Dy()))
	draw.Draw(to, to.Rect, picture, r.Min, draw.Src)
	return to
}

// Err is the fault for which a template is to be refused: the codes that ordinary treatments make unreadable, each with
// the layer's field and what to change. nil when all are read.
func (p *Proof) Err() error {
	if fields := p.fields(true); len(fields) > 0 {
		return fault.Fields("phones would not read the poster", fields...)
	}
	return nil
}

// Warnings are the codes that are lost to treatments that are not of every day.
func (p *Proof) Warnings() []fault.Field { return p.fields(false) }

func (p *Proof) fields(ordinary bool) (fields []fault.Field) {
	for _, f := range p.findings {
		if f.ordinary == ordinary {
			fields = append(fields, fault.Field{Field: fmt.Sprintf("layers[%d].qr", f.layer), Message: f.message})
		}
	}
	return fields
}

// judge looks at all people of one code.
func (p *Proof) judge(t *poster.Template, assets poster.Assets, crowd []someone, rows []Row) {
	for _, ordinary := range []bool{true, false} {
		var lost []string
		hardest, most := -1, 0 // who loses most
		for i, row := range rows {
			n := 0
			for j, treatment := range p.Treatments {
				if treatment.Ordinary == ordinary && !row.Read[j] {
					n++
				}
			}
			if n > most {
				hardest, most = i, n
			}
		}
		if hardest < 0 {
			continue
		}
		for j, treatment := range p.Treatments {
			for _, row := range rows {
				if treatment.Ordinary == ordinary && !row.Read[j] {
					lost = append(lost, treatment.Meaning)
					break
				}
			}
		}
		layer := rows[0].Layer
		message := fmt.Sprintf("cannot be read %s (first for %s)", strings.Join(lost, ", "), firstLost(p.Treatments, rows, ordinary))
		if ordinary {
			try := trial{t, assets, layer, crowd[hardest].person}
			message += "; " + try.advice()
		}
		p.findings = append(p.findings, finding{layer, ordinary, message})
		if ordinary {
			return // what ordinary treatments do not leave needs no further warning
		}
	}
}

// firstLost names the first person whom the first treatment that fails fails for.
func firstLost(treatments []Treatment, rows []Row, ordinary bool) string {
	for j, treatment := range treatments {
		for _, row := range rows {
			if treatment.Ordinary == ordinary && !row.Read[j] {
				return row.Person
			}
		}
	}
	return ""
}
