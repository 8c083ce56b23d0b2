// Starts Swagger UI on /openapi. A file of its own, because the page's policy allows no inline script.
const place = document.getElementById("swagger-ui");
SwaggerUIBundle({ url: place.dataset.document, domNode: place, deepLinking: true, presets: [SwaggerUIBundle.presets.apis] });
