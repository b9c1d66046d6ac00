package upstream

import (
	"net/http"

	"github.com/coder/websocket"
)

// WebSocketEcho accepts an upgrade to WebSocket and sends each message back, until the client closes.
func WebSocketEcho() Behaviour {
	return Behaviour{play: func(_ Behaviour, w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered with the reason
		}
		defer func() { _ = conn.CloseNow() }()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}}
}
