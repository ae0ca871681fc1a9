from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
hub_urlpatterns: list[URLPattern] = []
