/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes view: a window that shows a channel. It reads the newest frame each time, so a slow
 * screen costs frames and never delay. A frame is converted into the texture's memory while it is
 * held; one thread does everything.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <SDL.h>

#include "command.h"
#include "common/attach.h"
#include "common/convert.h"
#include "common/options.h"
#include "common/stop.h"

#define FRAME_WAIT_MS   10
#define TITLE_PERIOD_NS 500000000

struct settings {
    cuframes_subscriber_config_t config;
    int64_t frames; /* 0 = no limit */
    double wait_s;
    bool fullscreen;
};

struct window {
    const struct settings *settings;
    cuframes_subscriber_t *subscriber;
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    int32_t width, height; /* the texture's */
    bool paused;
    bool closed;
    uint64_t shown;
    uint64_t shown_before; /* at the last title */
    int64_t title_ns;
};

enum { ID_FRAMES = 1, ID_MAX_FPS, ID_FULLSCREEN, ID_WAIT };

static const struct option_row rows[] = {
    {ID_FRAMES, "frames", "N", "close after so many frames"},
    {ID_MAX_FPS, "max-fps", "N", "show at most N frames a second"},
    {ID_FULLSCREEN, "fullscreen", NULL, "use the whole screen"},
    {ID_WAIT, "wait", "S", ATTACH_WAIT_HELP},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY [options]",
    .about = "Shows channel KEY in a window. Keys: q or Escape closes, f changes to the whole\n"
             "screen and back, space stops the picture.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;
    double rate;

    switch (id) {
    case ID_FRAMES:
        return options_integer(o, 1, INT64_MAX, &s->frames);
    case ID_MAX_FPS:
        if (!options_number(o, 0.001, 1e5, &rate))
            return false;
        s->config.max_fps = (float)rate;
        return true;
    case ID_WAIT:
        return options_number(o, 0, 1e6, &s->wait_s);
    default:
        s->fullscreen = true;
        return true;
    }
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (!options_channel(&o, 1, "KEY", &s->config))
        return TOOL_USAGE;
    attach_for_cpu(&s->config);
    return TOOL_CONTINUE;
}

/* A window that fits on the screen, in the picture's shape. */
static void window_size(int32_t width, int32_t height, int *w, int *h)
{
    SDL_Rect screen = {.w = 1280, .h = 720};

    SDL_GetDisplayUsableBounds(0, &screen);
    *w = width;
    *h = height;
    if (*w > screen.w) {
        *h = (int)((int64_t)height * screen.w / width);
        *w = screen.w;
    }
    if (*h > screen.h) {
        *w = (int)((int64_t)width * screen.h / height);
        *h = screen.h;
    }
    *w = *w > 64 ? *w : 64;
    *h = *h > 64 ? *h : 64;
}

static int sdl_failed(const char *what)
{
    return report_failed("%s: %s", what, SDL_GetError());
}

static int open_window(struct window *window, int32_t width, int32_t height)
{
    Uint32 flags = SDL_WINDOW_RESIZABLE;
    int w, h;

    if (window->settings->fullscreen)
        flags |= SDL_WINDOW_FULLSCREEN_DESKTOP;
    window_size(width, height, &w, &h);
    window->window = SDL_CreateWindow(window->settings->config.key, SDL_WINDOWPOS_UNDEFINED,
                                      SDL_WINDOWPOS_UNDEFINED, w, h, flags);
    if (!window->window)
        return sdl_failed("cannot open a window");
    window->renderer = SDL_CreateRenderer(window->window, -1, 0);
    if (!window->renderer)
        window->renderer = SDL_CreateRenderer(window->window, -1, SDL_RENDERER_SOFTWARE);
    if (!window->renderer)
        return sdl_failed("cannot draw in the window");
    return TOOL_CONTINUE;
}

/* The texture has the picture's size; a change of generation makes a new one. */
static int fit_texture(struct window *window, int32_t width, int32_t height)
{
    int rc = window->window ? TOOL_CONTINUE : open_window(window, width, height);

    if (rc != TOOL_CONTINUE ||
        (window->texture && width == window->width && height == window->height))
        return rc;
    if (window->texture)
        SDL_DestroyTexture(window->texture);
    window->texture = SDL_CreateTexture(window->renderer, SDL_PIXELFORMAT_ARGB8888,
                                        SDL_TEXTUREACCESS_STREAMING, width, height);
    if (!window->texture)
        return sdl_failed("cannot make a texture of the picture's size");
    window->width = width;
    window->height = height;
    return TOOL_CONTINUE;
}

/* The picture in the middle of the window, as large as its shape allows. */
static void draw(struct window *window)
{
    SDL_Rect target;
    int w, h;

    if (!window->texture || SDL_GetRendererOutputSize(window->renderer, &w, &h) < 0)
        return;
    target.w = w;
    target.h = (int)((int64_t)w * window->height / window->width);
    if (target.h > h) {
        target.h = h;
        target.w = (int)((int64_t)h * window->width / window->height);
    }
    target.x = (w - target.w) / 2;
    target.y = (h - target.h) / 2;
    SDL_SetRenderDrawColor(window->renderer, 0, 0, 0, 255);
    SDL_RenderClear(window->renderer);
    SDL_RenderCopy(window->renderer, window->texture, NULL, &target);
    SDL_RenderPresent(window->renderer);
}

static int fill_texture(struct window *window, const struct picture *picture)
{
    void *pixels;
    int pitch;

    if (SDL_LockTexture(window->texture, NULL, &pixels, &pitch) < 0)
        return sdl_failed("cannot write the texture");
    convert_picture(picture, CONVERT_BGRX, pixels, (size_t)pitch);
    SDL_UnlockTexture(window->texture);
    return TOOL_CONTINUE;
}

static void title(struct window *window, const cuframes_frame_t *frame)
{
    int64_t now = cuframes_now_ns();
    double seconds = (double)(now - window->title_ns) / 1e9;
    char text[160];

    if (now - window->title_ns < TITLE_PERIOD_NS)
        return;
    snprintf(text, sizeof(text), "%s %" PRId32 "x%" PRId32 " %s %.1f fps frame %" PRIu64,
             window->settings->config.key, window->width, window->height,
             cuframes_format_name(cuframes_frame_format(frame)),
             (double)(window->shown - window->shown_before) / seconds, cuframes_frame_seq(frame));
    SDL_SetWindowTitle(window->window, text);
    window->title_ns = now;
    window->shown_before = window->shown;
}

static int show(struct window *window, const cuframes_frame_t *frame)
{
    struct picture picture;
    int rc;

    if (picture_of_frame(frame, &picture) != CUFRAMES_OK)
        return report_failed("cannot show this frame: it is in GPU memory, or of a format that "
                             "this version does not know");
    rc = fit_texture(window, picture.width, picture.height);
    if (rc == TOOL_CONTINUE)
        rc = fill_texture(window, &picture);
    if (rc == TOOL_CONTINUE) {
        window->shown++;
        title(window, frame);
    }
    return rc;
}

static void key(struct window *window, SDL_Keycode code)
{
    bool full;

    if (code == SDLK_q || code == SDLK_ESCAPE) {
        window->closed = true;
    } else if (code == SDLK_SPACE) {
        window->paused = !window->paused;
    } else if (code == SDLK_f && window->window) {
        full = SDL_GetWindowFlags(window->window) & SDL_WINDOW_FULLSCREEN_DESKTOP;
        SDL_SetWindowFullscreen(window->window, full ? 0 : SDL_WINDOW_FULLSCREEN_DESKTOP);
    }
}

/* Whether something happened that asks for drawing again. */
static bool handle_events(struct window *window)
{
    bool redraw = false;
    SDL_Event event;

    while (SDL_PollEvent(&event)) {
        if (event.type == SDL_QUIT)
            window->closed = true;
        else if (event.type == SDL_KEYDOWN)
            key(window, event.key.keysym.sym);
        else if (event.type == SDL_WINDOWEVENT)
            redraw = true;
    }
    return redraw;
}

/* One frame, or the time of one; TOOL_CONTINUE to go on. */
static int step(struct window *window)
{
    cuframes_frame_t *frame;
    int rc;
    int error = cuframes_subscriber_next(window->subscriber, NULL, &frame, FRAME_WAIT_MS);

    if (error == CUFRAMES_ERR_TIMEOUT)
        return TOOL_CONTINUE;
    if (error)
        return report_library(error);
    rc = window->paused ? TOOL_CONTINUE : show(window, frame);
    cuframes_frame_release(frame);
    if (rc == TOOL_CONTINUE && !window->paused)
        draw(window);
    return rc;
}

static int loop(struct window *window)
{
    const struct settings *s = window->settings;
    int rc = TOOL_CONTINUE;

    while (rc == TOOL_CONTINUE && !window->closed && !stop_requested() &&
           (!s->frames || window->shown < (uint64_t)s->frames)) {
        if (handle_events(window))
            draw(window);
        rc = step(window);
    }
    return rc == TOOL_CONTINUE ? TOOL_DONE : rc;
}

static int run(struct window *window)
{
    const struct settings *s = window->settings;
    int rc;
    int error = attach(&s->config, s->wait_s, 0, &window->subscriber);

    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    if (error)
        return report_library(error);
    rc = loop(window);
    if (window->texture)
        SDL_DestroyTexture(window->texture);
    if (window->renderer)
        SDL_DestroyRenderer(window->renderer);
    if (window->window)
        SDL_DestroyWindow(window->window);
    cuframes_subscriber_destroy(window->subscriber);
    return rc;
}

/* SDL falls back to a display that nobody sees, which is of use only to those who ask for it. */
static int open_display(void)
{
    const char *driver;

    if (SDL_Init(SDL_INIT_VIDEO) < 0)
        return report_failed("no display: %s; a window needs $DISPLAY or $WAYLAND_DISPLAY",
                             SDL_GetError());
    driver = SDL_GetCurrentVideoDriver();
    if (getenv("SDL_VIDEODRIVER") || !driver || strcmp(driver, "offscreen") != 0)
        return TOOL_CONTINUE;
    SDL_Quit();
    return report_failed("no display can be reached: a window needs $DISPLAY or $WAYLAND_DISPLAY");
}

/* Before any option. A camera that restarts is no reason for the window to go. */
static const struct settings defaults = {
    .config = {.mode = CUFRAMES_MODE_NEWEST_ONLY, .flags = CUFRAMES_SUBSCRIBER_RECONNECT},
    .wait_s = ATTACH_DEFAULT_WAIT_S};

int command_view(int argc, char **argv)
{
    struct settings s = defaults;
    struct window window = {.settings = &s};
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    rc = open_display();
    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    rc = run(&window);
    SDL_Quit();
    return rc;
}
