package client

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"time"

	"kfactor/internal/fault"
)

const (
	pathUpload   = "/cgi-bin/media/upload"
	pathDownload = "/cgi-bin/media/get"

	mediaLife = 3 * 24 * time.Hour // of temporary media
)

// Media is a file that the platform keeps for a while; it may be sent any number of times.
type Media struct {
	ID      string
	Expires time.Time
}

// File is a file that the platform had.
type File struct {
	ContentType string
	Body        []byte
}

// UploadImage hands over a JPEG, PNG or GIF of at most MaxImage bytes (page "Upload
// temporary media").
func (c *Client) UploadImage(ctx context.Context, filename, contentType string, body []byte) (Media, error) {
	if len(body) == 0 || len(body) > MaxImage {
		return Media{}, fault.New(fault.TooLarge, "an image for WeChat has at most %d bytes, not %d", MaxImage, len(body))
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("media", filename)},
		"Content-Type":        {contentType},
	})
	if err != nil {
		return Media{}, err
	}
	if _, err := part.Write(body); err != nil {
		return Media{}, err
	}
	if err := form.Close(); err != nil {
		return Media{}, err
	}
	asked := c.now()
	var got struct {
		ID string `json:"media_id"`
	}
	err = c.call(ctx, request{
		method: http.MethodPost, path: pathUpload, query: url.Values{"type": {"image"}},
		contentType: form.FormDataContentType(), body: b.Bytes(), repeat: true, file: true,
	}, &got)
	if err != nil {
		return Media{}, err
	}
	if got.ID == "" {
		return Media{}, malformed(pathUpload)
	}
	return Media{ID: got.ID, Expires: asked.Add(mediaLife)}, nil
}

// Download fetches a file that was sent or uploaded within three days, at most MaxMedia
// bytes (page "Get temporary media"). Videos come as the JSON that says where they are.
func (c *Client) Download(ctx context.Context, mediaID string) (File, error) {
	r := get(pathDownload, url.Values{"media_id": {mediaID}})
	r.file = true
	a, err := c.fetch(ctx, r)
	if err != nil {
		return File{}, err
	}
	return File{ContentType: a.contentType, Body: a.body}, nil
}
