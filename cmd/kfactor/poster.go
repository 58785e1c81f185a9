package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kfactor/campaign"
	"kfactor/engine"
	"kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/poster"
)

func (a *app) posterCommand() *cobra.Command {
	return a.group("poster", "Share posters", "Draw posters and check them. Only batch needs the database.", a.posterRenderCommand(), a.posterCheckCommand(), a.posterBatchCommand())
}

func (a *app) posterRenderCommand() *cobra.Command {
	var person poster.Person
	var avatar, variant, out string
	cmd := &cobra.Command{
		Use: "render FILE --code CODE -o OUT", Short: "Draw one poster of a campaign file",
		Long: "Draws the poster that a participant with this code, name and picture would get. The files that the campaign\n" +
			"names are looked for beside FILE. The format follows OUT's ending, .jpg or .png.",
		Example: "  kfactor poster render spring.yaml --code 7K2M9QX4TB --nickname 小满 --avatar me.jpg -o poster.jpg",
		Args:    takes("FILE"),
		RunE: a.do(func(_ context.Context, args []string) error {
			return a.renderPoster(args[0], variant, avatar, out, person)
		}),
	}
	cmd.PreRunE = func(*cobra.Command, []string) error {
		parsed, ok := code.Parse(person.Code)
		if !ok {
			return usage("--code: %q is not a code; write 8 to 16 of 0-9 and A-Z without I, L, O, U", person.Code)
		}
		person.Code = parsed
		_, err := posterFormat(out)
		return err
	}
	flags := cmd.Flags()
	flags.StringVar(&person.Code, "code", "", "the participant's code")
	flags.StringVar(&person.Nickname, "nickname", "", "the participant's name")
	flags.StringVar(&avatar, "avatar", "", "the participant's picture, a file")
	flags.StringVar(&variant, "variant", "", "the poster's variant (default: the main one)")
	flags.StringVarP(&out, "output", "o", "", "file to write, ending in .jpg or .png")
	must(cmd.MarkFlagRequired("code"))
	must(cmd.MarkFlagRequired("output"))
	return cmd
}

// beside finds the files that a campaign names where its own file is.
func beside(file string) poster.Assets {
	return func(name string) ([]byte, error) {
		return readBounded(filepath.Join(filepath.Dir(file), name), poster.AssetLimits.Bytes)
	}
}

func posterFormat(out string) (string, error) {
	switch strings.ToLower(filepath.Ext(out)) {
	case ".jpg", ".jpeg":
		return "jpeg", nil
	case ".png":
		return "png", nil
	}
	return "", usage("--output: %q ends in neither .jpg nor .png", out)
}

func (a *app) renderPoster(file, variant, avatar, out string, person poster.Person) error {
	d, _, err := a.readDefinition(file)
	if err != nil {
		return err
	}
	if d.Poster.IsZero() {
		return fmt.Errorf("%s describes no poster", file)
	}
	if variant != "" && variant != campaign.MainVariant && !hasVariant(d, variant) {
		return fmt.Errorf("%s has no poster variant %q", file, variant)
	}
	if avatar != "" {
		if person.Avatar, err = readBounded(avatar, poster.AvatarLimits.Bytes); err != nil {
			return err
		}
		if _, err := poster.DecodeImage(person.Avatar, poster.AvatarLimits); err != nil {
			return fmt.Errorf("%s: %w", avatar, err)
		}
	}
	person.Link = a.settings.Link(nil) + "/r/" + person.Code
	press, err := poster.Compile(engine.PosterTemplate(d, variant), beside(file))
	if err != nil {
		return err
	}
	format, err := posterFormat(out)
	if err != nil {
		return err
	}
	return a.writeTo(out, func(w io.Writer) error { return press.Print(w, format, person) })
}

func hasVariant(d *campaign.Definition, name string) bool {
	for _, v := range d.Poster.Variants {
		if v.Name == name {
			return true
		}
	}
	return false
}

// readBounded reads a file of at most that many bytes.
func readBounded(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "there is no file %s", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > most {
		return nil, fault.New(fault.TooLarge, "%s is larger than %d KiB", path, most>>10)
	}
	return body, nil
}
