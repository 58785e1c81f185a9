package twin

import "net/http"

func (t *Twin) control() {
	t.mux.HandleFunc("GET /_twin/pictures/{name}", t.showPicture)
}

func (t *Twin) showPicture(w http.ResponseWriter, r *http.Request) {
	body := t.pictures.bytes(r.PathValue("name"))
	if body == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentType(body))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(body)
}
